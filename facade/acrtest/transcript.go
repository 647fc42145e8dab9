package acrtest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"unicode/utf8"
)

// exchange is one request and its reply in a transcript.
type transcriptExchange struct {
	request, response message
}

// message is a first line, a header and a body.
type message struct {
	first  string
	header http.Header
	body   []byte
}

// bodyHeader says how a body stands in a transcript where it is not plain text that ends with a
// newline.
const (
	bodyHeader    = "X-Acrtest-Body"
	bodyBase64    = "base64"
	bodyNoNewline = "no newline at the end"
	bodyCut       = "cut" // it was too long to keep
)

// encodeTranscript writes exchanges as a txtar archive: "-- 001 request --" and "-- 001 response
// --", each as HTTP has it.
func encodeTranscript(exchanges []transcriptExchange) []byte {
	var b bytes.Buffer
	b.WriteString("Recorded by acrtest. Credentials, signatures and upload states are redacted.\n")
	for i, e := range exchanges {
		fmt.Fprintf(&b, "-- %03d request --\n", i+1)
		e.request.encode(&b)
		fmt.Fprintf(&b, "-- %03d response --\n", i+1)
		e.response.encode(&b)
	}
	return b.Bytes()
}

func (m message) encode(b *bytes.Buffer) {
	header := m.header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	body := m.body
	switch {
	case len(body) == 0:
	case !utf8.Valid(body) || bytes.Contains(body, []byte("\n-- ")) || bytes.HasPrefix(body, []byte("-- ")) || bytes.ContainsAny(body, "\r\x00"):
		header.Set(bodyHeader, bodyBase64)
		body = wrapped(base64.StdEncoding.EncodeToString(body))
	case !bytes.HasSuffix(body, []byte("\n")):
		header.Set(bodyHeader, bodyNoNewline)
		body = append(slices.Clone(body), '\n')
	}
	b.WriteString(m.first + "\n")
	keys := make([]string, 0, len(header))
	for k := range header {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		for _, v := range header[k] {
			b.WriteString(k + ": " + v + "\n")
		}
	}
	b.WriteString("\n")
	b.Write(body)
}

// wrapped breaks base64 into lines.
func wrapped(text string) []byte {
	var b bytes.Buffer
	for len(text) > 0 {
		n := min(len(text), 100)
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	return b.Bytes()
}

var errTranscript = errors.New("acrtest: invalid transcript")

// decodeTranscript reads what encodeTranscript wrote, and edited by hand perhaps.
func decodeTranscript(archive []byte) ([]transcriptExchange, error) {
	var names []string
	var files [][]byte
	for line := range bytes.Lines(archive) {
		if name, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), "-- "); ok && strings.HasSuffix(name, " --") {
			names = append(names, strings.TrimSuffix(name, " --"))
			files = append(files, nil)
			continue
		}
		if len(files) > 0 {
			files[len(files)-1] = append(files[len(files)-1], line...)
		}
	}
	if len(files)%2 != 0 {
		return nil, fmt.Errorf("%w: a request without a response", errTranscript)
	}
	var out []transcriptExchange
	for i := 0; i < len(files); i += 2 {
		if !strings.HasSuffix(names[i], "request") || !strings.HasSuffix(names[i+1], "response") {
			return nil, fmt.Errorf("%w: %q and %q are not a request and a response", errTranscript, names[i], names[i+1])
		}
		request, err := decodeMessage(files[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", names[i], err)
		}
		response, err := decodeMessage(files[i+1])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", names[i+1], err)
		}
		out = append(out, transcriptExchange{request, response})
	}
	return out, nil
}

func decodeMessage(text []byte) (message, error) {
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(text)))
	first, err := r.ReadLine()
	if err != nil {
		return message{}, fmt.Errorf("%w: no first line", errTranscript)
	}
	header, err := r.ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		return message{}, fmt.Errorf("%w: header: %w", errTranscript, err)
	}
	body, err := io.ReadAll(r.R)
	if err != nil {
		return message{}, fmt.Errorf("%w: body: %w", errTranscript, err)
	}
	m := message{first: first, header: http.Header(header), body: body}
	switch m.header.Get(bodyHeader) {
	case bodyBase64:
		if m.body, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(string(body), "\n", "")); err != nil {
			return message{}, fmt.Errorf("%w: body: %w", errTranscript, err)
		}
	case bodyNoNewline:
		m.body = bytes.TrimSuffix(body, []byte("\n"))
	case bodyCut:
		return message{}, fmt.Errorf("%w: a body was too long to be recorded", errTranscript)
	}
	m.header.Del(bodyHeader)
	return m, nil
}
