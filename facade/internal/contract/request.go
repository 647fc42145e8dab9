package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// largestForm bounds the JSON and form bodies of requests that are looked at. Real ones have a few KiB.
const largestForm = 1 << 20

// rules is what the document says of all operations.
type rules struct {
	everywhere map[string]bool // canonical names of response headers
}

// checkRequest returns the request to send, which is req unless its body had to be read, and what is wrong with it.
func (r *rules) checkRequest(req *http.Request, route *route) (*http.Request, []error) {
	var errs []error
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		errs = append(errs, errors.New("query is not in key=value form"))
	}
	known := map[string]bool{}
	for _, ref := range route.params {
		p := ref.Value
		var values []string
		switch p.In {
		case openapi3.ParameterInPath:
			values = []string{route.values[p.Name]}
		case openapi3.ParameterInQuery:
			known[p.Name] = true
			values = query[p.Name]
		case openapi3.ParameterInHeader:
			values = req.Header.Values(p.Name)
		}
		if err := checkParameter(p, values); err != nil {
			errs = append(errs, fmt.Errorf("%s parameter %s: %w", p.In, p.Name, err))
		}
	}
	for key := range query {
		if !known[key] {
			errs = append(errs, fmt.Errorf("query key %q is not declared", key))
		}
	}
	if err := checkCredential(req, route.op); err != nil {
		errs = append(errs, err)
	}
	if err := checkChunk(req); err != nil {
		errs = append(errs, err)
	}
	sent, err := checkRequestBody(req, route.op)
	if err != nil {
		errs = append(errs, fmt.Errorf("request body: %w", err))
	}
	return sent, errs
}

func checkParameter(p *openapi3.Parameter, values []string) error {
	switch {
	case len(values) == 0 && p.Required:
		return errors.New("missing")
	case len(values) == 0:
		return nil
	case len(values) > 1:
		return errors.New("given more than once")
	case values[0] == "" && p.AllowEmptyValue:
		return nil
	}
	return checkText(p.Schema.Value, values[0])
}

var digits = regexp.MustCompile(`^-?[0-9]+$`)

// checkText holds a value of a path, a query or a header against its schema.
func checkText(schema *openapi3.Schema, text string) error {
	var value any = text
	var err error
	switch {
	case schema.Type.Is(openapi3.TypeInteger) && !digits.MatchString(text):
		err = strconv.ErrSyntax // 1e3 is a number, and not how one is written
	case schema.Type.Is(openapi3.TypeInteger), schema.Type.Is(openapi3.TypeNumber):
		value, err = strconv.ParseFloat(text, 64)
	case schema.Type.Is(openapi3.TypeBoolean):
		value = text == "true"
		if value == false && text != "false" {
			err = strconv.ErrSyntax
		}
	}
	if err != nil {
		return errors.New("not of its type")
	}
	return oneLine(schema.VisitJSON(value))
}

// checkCredential sees that calls carry the kind of credential that is for them, and token calls no more than they should.
func checkCredential(req *http.Request, op *openapi3.Operation) error {
	header := req.Header.Get("Authorization")
	if op.Security == nil { // the document's default: an access token or Basic in its place; or nothing
		if header != "" && !strings.HasPrefix(header, "Bearer ") && !strings.HasPrefix(header, "Basic ") {
			return errors.New("carries an Authorization header that is neither Bearer nor Basic")
		}
		return nil
	}
	if len(*op.Security) == 0 && header != "" {
		return errors.New("carries an Authorization header, though its form is the credential")
	}
	wantsBasic := slices.ContainsFunc(*op.Security, func(s openapi3.SecurityRequirement) bool { return s["basic"] != nil })
	if wantsBasic && !strings.HasPrefix(header, "Basic ") {
		return errors.New("carries no Basic credential")
	}
	return nil
}

// checkRequestBody looks at forms and JSON. Manifests and octet streams are the caller's own bytes: only their type is.
func checkRequestBody(req *http.Request, op *openapi3.Operation) (*http.Request, error) {
	empty := req.Body == nil || req.Body == http.NoBody
	if op.RequestBody == nil {
		if !empty {
			return req, errors.New("none is declared")
		}
		return req, nil
	}
	body := op.RequestBody.Value
	if empty {
		// Without a token the call is a probe for the challenge, and may leave its body at home.
		probe := op.Security == nil && req.Header.Get("Authorization") == ""
		if body.Required && !probe {
			return req, errors.New("missing")
		}
		return req, nil
	}
	contentType := req.Header.Get("Content-Type")
	media := body.Content.Get(contentType)
	if media == nil || contentType == "" { // any type is a type
		return req, fmt.Errorf("content type %q is not declared", contentType)
	}
	kind, _, _ := mime.ParseMediaType(contentType)
	if kind != "application/json" && kind != "application/x-www-form-urlencoded" {
		return req, nil
	}
	data, sent, err := peek(req)
	if err != nil {
		return sent, err
	}
	if kind == "application/json" {
		return sent, errors.Join(checkKeys(media.Schema.Value, data), checkJSON(media.Schema.Value, data))
	}
	return sent, checkForm(media.Schema.Value, data)
}

// checkKeys reports keys that a JSON object should not have: the registry would pass over them, and the caller thinks they did something.
func checkKeys(schema *openapi3.Schema, data []byte) error {
	var object map[string]json.RawMessage
	_ = json.Unmarshal(data, &object) // what is no object is for the schema to judge
	for key := range object {
		if schema.Properties[key] == nil {
			return fmt.Errorf("key %q is not declared", key)
		}
	}
	return nil
}

// checkChunk compares the registry's form of Content-Range with the bytes that are sent.
func checkChunk(req *http.Request) error {
	first, last, ok := strings.Cut(req.Header.Get("Content-Range"), "-")
	if !ok || req.ContentLength < 0 || req.Body == nil || req.Body == http.NoBody {
		return nil
	}
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if err1 == nil && err2 == nil && to-from+1 != req.ContentLength {
		return fmt.Errorf("Content-Range %s-%s is not of %d bytes", first, last, req.ContentLength)
	}
	return nil
}

// peek returns the bytes of a small body, and a request with the same body.
func peek(req *http.Request) ([]byte, *http.Request, error) {
	if req.ContentLength > largestForm {
		return nil, req, fmt.Errorf("larger than %d bytes", largestForm)
	}
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, req, err
		}
		defer func() { _ = body.Close() }()
		data, err := io.ReadAll(io.LimitReader(body, largestForm))
		return data, req, err
	}
	data, err := io.ReadAll(io.LimitReader(req.Body, largestForm))
	sent := req.Clone(req.Context())
	sent.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(data), req.Body), req.Body}
	return data, sent, err
}

func checkForm(schema *openapi3.Schema, data []byte) error {
	form, err := url.ParseQuery(string(data))
	if err != nil {
		return errors.New("not a form")
	}
	value := map[string]any{}
	for key, values := range form {
		if schema.Properties[key] == nil {
			return fmt.Errorf("form key %q is not declared", key)
		}
		if len(values) > 1 {
			return fmt.Errorf("form key %q is given more than once", key)
		}
		value[key] = values[0]
	}
	return oneLine(schema.VisitJSON(value))
}
