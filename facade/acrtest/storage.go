package acrtest

import (
	"crypto/hmac"
	"encoding/xml"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// storage serves the storage account that blobs are read from.
type storage struct {
	store    *store.Store
	seals    sealer
	now      func() time.Time
	host     string
	linkLife time.Duration
	logger   *slog.Logger
}

// sign gives a link to a blob's bytes at the storage origin that is good for a while.
func (s *storage) sign(d digest.Digest) string {
	path := s.seals.storagePath(d)
	expiry := s.now().Add(s.linkLife).UTC().Format(storageTime)
	return "https://" + s.host + path + "?se=" + url.QueryEscape(expiry) +
		"&sig=" + url.QueryEscape(s.seals.storageSignature(path, expiry)) +
		"&sp=r&spr=https&sr=b&sv=" + storageVersion + "&regid=" + s.seals.registry
}

// serve serves the storage origin: blobs to whoever has a link, and nothing else.
func (s *storage) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Server"] = []string{"Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0"}
	h["X-Ms-Request-Id"] = []string{newGUID()}
	h["X-Ms-Version"] = []string{storageVersion}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.fail(w, http.StatusMethodNotAllowed, "UnsupportedHttpVerb", "The resource doesn't support specified Http Verb.")
		return
	}
	if r.Header.Get("Authorization") != "" {
		s.fail(w, http.StatusBadRequest, "InvalidAuthenticationInfo",
			"Authentication information is not given in the correct format. Check the value of Authorization header.")
		return
	}
	d, ok := s.seals.storageDigest(r.URL.Path)
	if !ok || !s.mayRead(r) {
		s.fail(w, http.StatusForbidden, "AuthenticationFailed",
			"Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.")
		return
	}
	b, err := s.store.Content(d)
	if err != nil {
		s.unknown(w)
		return
	}
	s.serveContent(w, r, b)
}

// mayRead checks the signature and the time of a link.
func (s *storage) mayRead(r *http.Request) bool {
	q := r.URL.Query()
	expiry, err := time.Parse(storageTime, q.Get("se"))
	if err != nil || !s.now().Before(expiry) {
		return false
	}
	want := s.seals.storageSignature(r.URL.Path, q.Get("se"))
	return hmac.Equal([]byte(want), []byte(q.Get("sig"))) &&
		q.Get("sp") == "r" && q.Get("spr") == "https" && q.Get("sr") == "b" && q.Get("sv") == storageVersion
}

func (s *storage) serveContent(w http.ResponseWriter, r *http.Request, b store.Blob) {
	h := w.Header()
	tag := `"0x8D` + strings.ToUpper(b.Digest.Encoded()[:12]) + `"`
	for _, want := range r.Header["If-Match"] {
		if want != tag && want != "*" {
			s.fail(w, http.StatusPreconditionFailed, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.")
			return
		}
	}
	off, n, status := rangeOf(r.Header.Get("Range"), b.Size)
	if status == http.StatusRequestedRangeNotSatisfiable {
		h["Content-Range"] = []string{"bytes */" + strconv.FormatInt(b.Size, 10)}
		s.fail(w, status, "InvalidRange", "The range specified is invalid for the current size of the resource.")
		return
	}
	content, err := b.Open()
	if errors.Is(err, store.ErrBlobUnknown) {
		s.unknown(w)
		return
	}
	if err != nil {
		s.logger.Warn("opening a blob failed; the request was answered with status 500", "error", err)
		s.fail(w, http.StatusInternalServerError, "InternalError", "The server encountered an internal error.")
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

// rangeOf reads a range as Azure storage does: "bytes=A-B" and "bytes=A-", one only; what has
// another form is ignored.
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

func (s *storage) unknown(w http.ResponseWriter) {
	s.fail(w, http.StatusNotFound, "BlobNotFound", "The specified blob does not exist.")
}

// fail answers as storage does: XML, with a byte order mark.
func (s *storage) fail(w http.ResponseWriter, status int, code, message string) {
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
