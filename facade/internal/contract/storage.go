package contract

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
)

// StorageOperation is the name under which the bytes of a blob, fetched from the link in a 307, are counted. It is not in the
// document: what answers there is the storage service, at an address that only the link knows.
const StorageOperation = "GetBlobContent"

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// learnStorage remembers the origin that a 307 points at, unless it is the registry's own.
func (c *Checker) learnStorage(req *http.Request, resp *http.Response) {
	target, err := resp.Location()
	if err != nil || origin(target) == origin(req.URL) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.storage[origin(target)] = true
}

func (c *Checker) isStorage(req *http.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.storage[origin(req.URL)]
}

func (c *Checker) storageTrip(req *http.Request) (*http.Response, error) {
	var errs []error
	for _, name := range []string{"Authorization", "Cookie", "Referer"} {
		if req.Header.Get(name) != "" {
			errs = append(errs, fmt.Errorf("%s sent to storage", name))
		}
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		errs = append(errs, fmt.Errorf("method %s is not for storage", req.Method))
	}
	c.report(req, StorageOperation, 0, errs)
	resp, err := c.base.RoundTrip(req)
	if err != nil {
		total.lost()
		return resp, err
	}
	c.saw(StorageOperation, resp.StatusCode)
	if !c.exempt(req, resp) {
		c.report(req, StorageOperation, resp.StatusCode, checkStorage(req, resp))
	}
	return resp, nil
}

var (
	satisfied   = regexp.MustCompile(`^bytes [0-9]+-[0-9]+/[0-9]+$`)
	unsatisfied = regexp.MustCompile(`^bytes \*/[0-9]+$`)
)

// checkStorage knows what recorded answers of the storage service look like.
func checkStorage(req *http.Request, resp *http.Response) []error {
	var errs []error
	contentRange := resp.Header.Get("Content-Range")
	switch status := resp.StatusCode; {
	case status == http.StatusOK:
		if contentRange != "" {
			errs = append(errs, errors.New("a whole blob has a Content-Range"))
		}
	case status == http.StatusPartialContent:
		if req.Header.Get("Range") == "" {
			errs = append(errs, errors.New("no range was asked for"))
		}
		if !satisfied.MatchString(contentRange) {
			errs = append(errs, fmt.Errorf("Content-Range %q", contentRange))
		}
	case status == http.StatusRequestedRangeNotSatisfiable:
		if contentRange != "" && !unsatisfied.MatchString(contentRange) {
			errs = append(errs, fmt.Errorf("Content-Range %q", contentRange))
		}
	case status == http.StatusNotModified || status >= 400:
	default:
		errs = append(errs, errors.New("status is not one of storage"))
	}
	if resp.Header.Get("Docker-Content-Digest") != "" {
		errs = append(errs, errors.New("storage knows no Docker-Content-Digest"))
	}
	return errs
}
