package contract

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

// largestJSON bounds the copy of a JSON body. A longer one is passed on, and not held against its schema.
const largestJSON = 8 << 20

// watchBody lets the caller read the body as it comes and looks at a copy of it once it is whole. A body that the caller
// leaves half read, or that breaks off, is not judged.
func (c *Checker) watchBody(req *http.Request, resp *http.Response, route *route, response *openapi3.Response) {
	if response == nil || resp.Body == nil || resp.ContentLength == 0 || req.Method == http.MethodHead {
		return
	}
	contentType := resp.Header.Get("Content-Type")
	status := resp.StatusCode
	if len(response.Content) == 0 {
		if resp.ContentLength > 0 {
			return // checkContentType has said so
		}
		resp.Body = &watched{ReadCloser: resp.Body, want: resp.ContentLength, limit: 1, done: func(data []byte) {
			if len(data) > 0 {
				c.report(req, route.id, status, []error{errors.New("body is not declared")})
			}
		}}
		return
	}
	media := response.Content.Get(contentType)
	if media == nil || media.Schema == nil || !isJSON(contentType) {
		return
	}
	resp.Body = &watched{ReadCloser: resp.Body, want: resp.ContentLength, limit: largestJSON, done: func(data []byte) {
		if len(data) == 0 && status >= 400 {
			return // an error may do without a body
		}
		if err := checkJSON(media.Schema.Value, data); err != nil {
			c.report(req, route.id, status, []error{err})
		}
		total.judged()
	}}
}

// watched copies what passes through it and hands the copy over once, at the end of the body.
type watched struct {
	io.ReadCloser
	want  int64 // Content-Length, -1 if unknown
	limit int

	mu   sync.Mutex // Close may come from another goroutine than Read
	data []byte
	over bool // more than limit came
	done func([]byte)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done == nil {
		return n, err
	}
	if len(w.data)+n > w.limit {
		w.over = true
		w.data = append(w.data, p[:w.limit-len(w.data)]...)
	} else {
		w.data = append(w.data, p[:n]...)
	}
	whole := errors.Is(err, io.EOF) || w.want >= 0 && int64(len(w.data)) == w.want
	if whole || w.over {
		if !w.over || w.limit == 1 {
			w.done(w.data)
		}
		w.done, w.data = nil, nil
	}
	return n, err
}
