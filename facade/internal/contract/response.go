package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// checkResponse holds all but the body against the document, and returns the declared response for the body's sake; it is nil
// when the status is not declared.
func (r *rules) checkResponse(req *http.Request, resp *http.Response, route *route) (*openapi3.Response, []error) {
	ref := route.op.Responses.Status(resp.StatusCode)
	if ref == nil {
		return nil, []error{errors.New("status is not declared")}
	}
	response := ref.Value
	var errs []error
	declared := map[string]*openapi3.Header{}
	for name, ref := range response.Headers {
		declared[http.CanonicalHeaderKey(name)] = ref.Value
	}
	for name := range resp.Header {
		if declared[http.CanonicalHeaderKey(name)] == nil && !r.everywhere[http.CanonicalHeaderKey(name)] {
			errs = append(errs, fmt.Errorf("header %s is not declared", name))
		}
	}
	for name, header := range declared {
		values := resp.Header.Values(name)
		if len(values) == 0 || values[0] == "" {
			if header.Required {
				errs = append(errs, fmt.Errorf("header %s is missing", name))
			}
			continue
		}
		if len(values) > 1 && name != "Link" && name != "Www-Authenticate" { // these are lists
			errs = append(errs, fmt.Errorf("header %s is given more than once", name))
		}
		for _, value := range values {
			if err := checkText(header.Schema.Value, value); err != nil {
				errs = append(errs, fmt.Errorf("header %s: %w", name, err))
			}
		}
	}
	if resp.StatusCode == http.StatusPartialContent && req.Header.Get("Range") == "" {
		errs = append(errs, errors.New("no range was asked for"))
	}
	if err := checkChallenge(req, resp, route); err != nil {
		errs = append(errs, err)
	}
	if req.Method == http.MethodHead {
		return response, errs
	}
	if err := checkContentType(resp, response); err != nil {
		errs = append(errs, err)
	}
	return response, errs
}

// checkContentType compares the kind of the body with those declared.
func checkContentType(resp *http.Response, response *openapi3.Response) error {
	switch {
	case resp.ContentLength == 0 && resp.StatusCode >= 400:
		return nil // an error may do without a body
	case resp.ContentLength == 0 && hasJSON(response):
		return errors.New("body is missing")
	case resp.ContentLength == 0:
		return nil
	case len(response.Content) == 0 && resp.ContentLength > 0:
		return fmt.Errorf("body of %d bytes is not declared", resp.ContentLength)
	case len(response.Content) == 0:
		return nil // of unknown length: watchBody sees whether it is empty
	}
	contentType := resp.Header.Get("Content-Type")
	if response.Content.Get(contentType) == nil {
		return fmt.Errorf("content type %q is not declared", contentType)
	}
	return nil
}

// hasJSON reports whether a success says something that a caller must have.
func hasJSON(response *openapi3.Response) bool {
	media := response.Content.Get("application/json")
	return media != nil && media.Schema != nil && len(media.Schema.Value.Required) > 0
}

func isJSON(contentType string) bool {
	kind, _, _ := mime.ParseMediaType(contentType)
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}

func checkJSON(schema *openapi3.Schema, data []byte) error {
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return errors.New("not JSON")
	}
	return oneLine(schema.VisitJSON(value))
}

// oneLine cuts a schema error to its reason: the library's own text repeats the schema and the value, which may be a secret.
func oneLine(err error) error {
	if err == nil {
		return nil
	}
	if schema, ok := errors.AsType[*openapi3.SchemaError](err); ok {
		at := strings.Join(schema.JSONPointer(), "/")
		if at != "" {
			at = " at " + at
		}
		return fmt.Errorf("breaks %q of its schema%s", schema.SchemaField, at)
	}
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}
