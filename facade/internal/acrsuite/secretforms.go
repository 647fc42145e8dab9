package acrsuite

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// Encodings are the forms in which a text may repeat a secret.
var Encodings = map[string]func(secret string) string{
	"raw":              func(s string) string { return s },
	"percent":          url.QueryEscape,
	"percent, by byte": func(s string) string { return byByte("%", s) },
	"JSON": func(s string) string {
		b, _ := json.Marshal(s) //nolint:errchkjson // a string always has a form
		return strings.Trim(string(b), `"`)
	},
	"JSON, by byte": func(s string) string { return byByte(`\u00`, s) },
	"base64":        func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64url":     func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
}

func byByte(mark, s string) string {
	var b strings.Builder
	for i := range len(s) {
		_, _ = fmt.Fprintf(&b, "%s%02x", mark, s[i]) // never fails
	}
	return b.String()
}

// leastEncoded is the length from which on a run of letters may be a secret in base64.
const leastEncoded = 24

// eachForm gives each form in which a text may hold a secret: the text as it is, and what it says once its percent
// escapes, its JSON escapes and its base64 are undone.
func eachForm(text string, look func(form string)) {
	look(text)
	if strings.Contains(text, "%") {
		look(unescape(text, '%', 3, func(s string) (string, error) { return url.PathUnescape(s) }))
	}
	if strings.Contains(text, `\u`) {
		look(unescape(text, '\\', 6, func(s string) (out string, err error) {
			err = json.Unmarshal([]byte(`"`+s+`"`), &out)
			return out, err
		}))
	}
	encodedIn(text, look)
}

// unescape undoes escapes of a fixed length; what is none stays.
func unescape(text string, mark byte, length int, undo func(string) (string, error)) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == mark && i+length <= len(text) {
			if plain, err := undo(text[i : i+length]); err == nil {
				b.WriteString(plain)
				i += length - 1
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// encodedIn gives what the runs of letters in a text say in base64, where that is text.
//
//go:norace
func encodedIn(text string, look func(form string)) {
	start := -1
	flush := func(end int) {
		if start >= 0 && end-start >= leastEncoded {
			if plain, ok := fromBase64(text[start:end]); ok {
				look(plain)
			}
		}
		start = -1
	}
	for i := range len(text) {
		if c := text[i]; strings.IndexByte(letters[:64], c) >= 0 || c == '+' || c == '/' {
			if start < 0 {
				start = i
			}
			continue
		}
		flush(i)
	}
	flush(len(text))
}

// fromBase64 decodes a run of either alphabet, and tells whether the result is printable.
func fromBase64(run string) (string, bool) {
	run = strings.NewReplacer("-", "+", "_", "/").Replace(run[:len(run)/4*4])
	plain, err := base64.StdEncoding.DecodeString(run)
	if err != nil {
		return "", false
	}
	for _, c := range plain {
		if c < ' ' || c > '~' {
			return "", false
		}
	}
	return string(plain), true
}
