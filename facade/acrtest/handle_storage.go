package acrtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// sealer signs upload states and storage links.
type sealer struct {
	key      []byte
	registry string // the registry's id at the storage account, and the beginning of its container's name
}

func newSealer(key []byte) sealer {
	id := sha256.Sum256(append([]byte("registry"), key...))
	return sealer{key: key, registry: hex.EncodeToString(id[:16])}
}

func (g sealer) sign(text string) []byte {
	mac := hmac.New(sha256.New, g.key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

const (
	storageVersion = "2016-05-31"
	storageTime    = "2006-01-02T15:04:05Z"
)

// container is the name of the registry's container. The link has two slashes after it.
func (g sealer) container() string { return "/" + g.registry + "-acrkit0001" }

func (g sealer) storagePath(d digest.Digest) string {
	return g.container() + "//docker/registry/v2/blobs/" + d.Algorithm().String() + "/" + d.Encoded()[:2] + "/" + d.Encoded() + "/data"
}

// storageDigest is the way back.
func (g sealer) storageDigest(path string) (digest.Digest, bool) {
	parts := strings.Split(path, "/")
	if len(parts) < 4 {
		return "", false
	}
	d := digest.NewDigestFromEncoded(digest.Algorithm(parts[len(parts)-4]), parts[len(parts)-2])
	return d, d.Validate() == nil && g.storagePath(d) == path
}

func (g sealer) storageSignature(path, expiry string) string {
	return base64.StdEncoding.EncodeToString(g.sign(strings.Join([]string{"storage", path, expiry, "r", "https", "b", storageVersion}, "\n")))
}

// signStorageURL gives a link to a blob's bytes at the storage origin that is good for a while.
func (s *Server) signStorageURL(d digest.Digest) string {
	path := s.seals.storagePath(d)
	expiry := s.now().Add(s.cfg.blobLinkLife).UTC().Format(storageTime)
	return "https://" + s.StorageHost() + path + "?se=" + url.QueryEscape(expiry) +
		"&sig=" + url.QueryEscape(s.seals.storageSignature(path, expiry)) +
		"&sp=r&spr=https&sr=b&sv=" + storageVersion + "&regid=" + s.seals.registry
}

// handleStorage serves the storage origin: blobs to whoever has a link, and nothing else.
func (s *Server) handleStorage(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Server"] = []string{"Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0"}
	h["X-Ms-Request-Id"] = []string{newGUID()}
	h["X-Ms-Version"] = []string{storageVersion}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.storageFail(w, http.StatusMethodNotAllowed, "UnsupportedHttpVerb", "The resource doesn't support specified Http Verb.")
		return
	}
	if r.Header.Get("Authorization") != "" {
		s.storageFail(w, http.StatusBadRequest, "InvalidAuthenticationInfo",
			"Authentication information is not given in the correct format. Check the value of Authorization header.")
		return
	}
	d, ok := s.seals.storageDigest(r.URL.Path)
	if !ok || !s.mayRead(r) {
		s.storageFail(w, http.StatusForbidden, "AuthenticationFailed",
			"Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.")
		return
	}
	b, err := s.store.Content(d)
	if err != nil {
		s.storageUnknown(w)
		return
	}
	s.serveContent(w, r, b)
}

// mayRead checks the signature and the time of a link.
func (s *Server) mayRead(r *http.Request) bool {
	q := r.URL.Query()
	expiry, err := time.Parse(storageTime, q.Get("se"))
	if err != nil || !s.now().Before(expiry) {
		return false
	}
	want := s.seals.storageSignature(r.URL.Path, q.Get("se"))
	return hmac.Equal([]byte(want), []byte(q.Get("sig"))) &&
		q.Get("sp") == "r" && q.Get("spr") == "https" && q.Get("sr") == "b" && q.Get("sv") == storageVersion
}

func (s *Server) serveContent(w http.ResponseWriter, r *http.Request, b store.Blob) {
	h := w.Header()
	tag := `"0x8D` + strings.ToUpper(b.Digest.Encoded()[:12]) + `"`
	for _, want := range r.Header["If-Match"] {
		if want != tag && want != "*" {
			s.storageFail(w, http.StatusPreconditionFailed, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.")
			return
		}
	}
	off, n, status := rangeOf(r.Header.Get("Range"), b.Size)
	if status == http.StatusRequestedRangeNotSatisfiable {
		h["Content-Range"] = []string{"bytes */" + strconv.FormatInt(b.Size, 10)}
		s.storageFail(w, status, "InvalidRange", "The range specified is invalid for the current size of the resource.")
		return
	}
	content, err := b.Open()
	if errors.Is(err, store.ErrBlobUnknown) {
		s.storageUnknown(w)
		return
	}
	if err != nil {
		s.cfg.logger.Warn("open a blob", "error", err)
		s.storageFail(w, http.StatusInternalServerError, "InternalError", "The server encountered an internal error.")
		return
	}
	defer func() { _ = content.Close() }() // it was only read
	h["Accept-Ranges"] = []string{"bytes"}
	h["Etag"] = []string{tag}
	h["Last-Modified"] = []string{"Sat, 10 Dec 2022 07:10:39 GMT"} // content is addressed by its hash: it was never modified
	h["X-Ms-Blob-Type"] = []string{"AppendBlob"}
	h["X-Ms-Blob-Committed-Block-Count"] = []string{"1"}
	h["X-Ms-Lease-State"] = []string{"available"}
	h["X-Ms-Lease-Status"] = []string{"unlocked"}
	h["X-Ms-Server-Encrypted"] = []string{"true"}
	if status == http.StatusPartialContent {
		h["Content-Range"] = []string{"bytes " + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(off+n-1, 10) + "/" + strconv.FormatInt(b.Size, 10)}
	}
	blobHeaders(w, n)
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_ = content.WriteRange(w, off, n) // the caller may be gone; nobody is left to tell
	}
}

// rangeOf reads a range as Azure storage does: "bytes=A-B" and "bytes=A-", one only; what has another form is ignored.
func rangeOf(header string, size int64) (off, n int64, status int) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash {
		return 0, size, http.StatusOK
	}
	off, err := strconv.ParseInt(first, 10, 64)
	if err != nil || off < 0 {
		return 0, size, http.StatusOK
	}
	end := size - 1
	if last != "" {
		b, err := strconv.ParseInt(last, 10, 64)
		if err != nil || b < off {
			return 0, size, http.StatusOK
		}
		end = min(b, end)
	}
	if off >= size {
		return 0, 0, http.StatusRequestedRangeNotSatisfiable
	}
	return off, end - off + 1, http.StatusPartialContent
}

func (s *Server) storageUnknown(w http.ResponseWriter) {
	s.storageFail(w, http.StatusNotFound, "BlobNotFound", "The specified blob does not exist.")
}

// storageFail answers as storage does: XML, with a byte order mark.
func (s *Server) storageFail(w http.ResponseWriter, status int, code, message string) {
	h := w.Header()
	type storageError struct {
		XMLName xml.Name `xml:"Error"`
		Code    string   `xml:"Code"`
		Message string   `xml:"Message"`
	}
	text := message + "\nRequestId:" + h.Get("X-Ms-Request-Id") + "\nTime:" + s.now().UTC().Format(time.RFC3339Nano)
	body, err := xml.Marshal(storageError{Code: code, Message: text})
	if err != nil {
		body = nil // two strings cannot fail
	}
	body = append([]byte("\ufeff"+`<?xml version="1.0" encoding="utf-8"?>`), body...)
	h["Content-Type"] = []string{"application/xml"}
	h["X-Ms-Error-Code"] = []string{code}
	setLength(w, len(body))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller may be gone; nobody is left to tell
}
