package acrsuite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Mask gives the client other tokens than the registry issued, and the registry its own.
type Mask struct {
	Base http.RoundTripper

	mu   sync.Mutex
	face func(id string) string
	real map[string]string
}

// Wear lets replies pass as face makes them from now on.
func (m *Mask) Wear(face func(id string) string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.face, m.real = face, map[string]string{}
}

// RoundTrip implements http.RoundTripper.
func (m *Mask) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	m.mu.Lock()
	if token, ok := strings.CutPrefix(out.Header.Get("Authorization"), "Bearer "); ok && m.real[token] != "" {
		out.Header.Set("Authorization", "Bearer "+m.real[token])
	}
	m.mu.Unlock()
	if !strings.HasPrefix(r.URL.Path, "/oauth2/") {
		return m.Base.RoundTrip(out)
	}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		m.mu.Lock()
		if token := m.real[form.Get("refresh_token")]; token != "" {
			form.Set("refresh_token", token)
		}
		m.mu.Unlock()
		text := form.Encode()
		out.Body, out.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	}
	resp, err := m.Base.RoundTrip(out)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	var reply map[string]string
	if err == nil {
		err = json.Unmarshal(body, &reply)
	}
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	for key, token := range reply {
		reply[key] = m.face(fmt.Sprintf("token%d", len(m.real)))
		m.real[reply[key]] = token
	}
	m.mu.Unlock()
	if body, err = json.Marshal(reply); err != nil {
		return nil, err
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}
