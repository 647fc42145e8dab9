package acrtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
)

// apiError is one entry of the registry's error body.
type apiError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

type errorBody struct {
	Errors []apiError `json:"errors"`
}

// fail answers with the registry's error body: compact JSON and a newline. A nil detail leaves the
// key out.
func fail(w http.ResponseWriter, status int, code, message string, detail any) {
	replyJSON(w, status, errorBody{Errors: []apiError{{Code: code, Message: message, Detail: detail}}})
}

// replyJSON answers with v as the registry writes JSON: compact, unescaped, a newline at the end,
// and a length.
func replyJSON(w http.ResponseWriter, status int, v any) {
	writeJSON(w, status, encodeJSON(v))
}

// orNull is a list as the service writes it: null if it is empty.
func orNull[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func encodeJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		// Only our own types come here; one that cannot be written is a mistake of this package and
		// is shown as such.
		b.Reset()
		b.WriteString(`{"errors":[{"code":"UNKNOWN","message":"the emulator could not encode its answer"}]}` + "\n")
	}
	return b.Bytes()
}

// notFound is the answer to a path that has no route. It comes before any question of credentials.
func notFound(w http.ResponseWriter) {
	h := w.Header()
	h.Del("Access-Control-Expose-Headers")
	plain(w, http.StatusNotFound, "404 page not found\n")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	setLength(w, len(text))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the caller may be gone; nobody is left to tell
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	setLength(w, len(body))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller may be gone; nobody is left to tell
}

// empty answers without a body, and says so.
func empty(w http.ResponseWriter, status int) {
	if status != http.StatusNoContent {
		setLength(w, 0)
	}
	w.WriteHeader(status)
}

func setLength(w http.ResponseWriter, n int) {
	w.Header()["Content-Length"] = []string{strconv.Itoa(n)}
}
