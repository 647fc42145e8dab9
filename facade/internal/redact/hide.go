package redact

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// beginning is how much of a secret gives it away: texts may be cut anywhere behind.
const beginning = 16

// maxEncodings is how many times over a secret may be escaped and still be found.
const maxEncodings = 3

// Secret is what Hide looks for. It keeps the beginnings of the secret's forms, which are found far more cheaply than made.
// No verb of fmt shows what it holds, as none looks into a func.
type Secret struct {
	reveal func() (whole string, beginnings []string)
}

// NewSecret returns s as a Secret.
func NewSecret(s string) Secret {
	beginnings := formsOf(s)
	for i, form := range beginnings {
		beginnings[i] = strings.Clone(form[:min(len(form), beginning)]) // not the whole form, for the sake of memory
	}
	return Secret{func() (string, []string) { return s, beginnings }}
}

// Is reports whether s is the secret.
func (x Secret) Is(s string) bool {
	whole, _ := x.reveal()
	return whole == s
}

// Hide takes the secrets out of a text: as they are, and wherever the text holds them percent-encoded, escaped as in JSON,
// HTML or C, broken into lines, in base64 of either alphabet at any position, in hexadecimal digits, or several of these in
// turn. Of a secret that is cut, its beginning is taken out.
func Hide(text string, secrets iter.Seq[Secret]) string {
	found := hidden(text, secrets)
	if len(found) == 0 {
		return text
	}
	slices.SortFunc(found, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	end := 0
	for _, f := range found {
		if f.to <= end {
			continue
		}
		if f.from >= end {
			b.WriteString(text[end:f.from])
			b.WriteString(Removed)
		}
		end = f.to
	}
	b.WriteString(text[end:])
	return b.String()
}

// span is a part of a text.
type span struct{ from, to int }

// hidden returns where the secrets are in a text.
func hidden(text string, secrets iter.Seq[Secret]) (found []span) {
	plain, at := []byte(text), []int(nil) // at: where in the text each byte of plain began; nil: at itself
	where := func(i int) int {
		if at == nil {
			return i
		}
		return at[i]
	}
	for level := 0; ; level++ {
		for secret := range secrets {
			whole, beginnings := secret.reveal()
			for n, begin := range beginnings {
				if !bytes.Contains(plain, []byte(begin)) {
					continue
				}
				form := formsOf(whole)[n]
				for from := 0; ; {
					i := bytes.Index(plain[from:], []byte(begin))
					if i < 0 {
						break
					}
					i += from
					from = i + common(plain[i:], form)
					found = append(found, span{where(i), where(from)})
				}
			}
		}
		if level == maxEncodings {
			return found
		}
		next, offsets, changed := unescaped(plain)
		if !changed {
			return found
		}
		for i, o := range offsets {
			offsets[i] = where(o)
		}
		plain, at = next, offsets
	}
}

// common returns how far a text and a secret are the same.
func common(text []byte, secret string) int {
	n := 0
	for n < len(text) && n < len(secret) && text[n] == secret[n] {
		n++
	}
	return n
}

// formsOf returns a secret and what stands for it in base64 and in hexadecimal digits.
func formsOf(secret string) []string {
	digits := hex.EncodeToString([]byte(secret))
	forms := []string{secret, digits, strings.ToUpper(digits)}
	for shift := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		// The letters at the ends depend on the bytes around the secret, too.
		encoded = encoded[(8*shift+5)/6 : 8*(shift+len(secret))/6]
		forms = append(forms, encoded)
		if strings.ContainsAny(encoded, "+/") {
			forms = append(forms, strings.NewReplacer("+", "-", "/", "_").Replace(encoded))
		}
	}
	return forms
}

// unescaped undoes the escapes in a text once. at says where in the text each byte of the result began, and has one entry
// more, the text's length.
func unescaped(text []byte) (plain []byte, at []int, changed bool) {
	if !bytes.ContainsAny(text, "%\\&\r\n") {
		return nil, nil, false
	}
	plain, at = make([]byte, 0, len(text)), make([]int, 0, len(text)+1)
	for i := 0; i < len(text); {
		said, length := unit(text[i:])
		if length == 0 {
			said, length = text[i:i+1], 1
		} else {
			changed = true
		}
		for _, c := range said {
			plain, at = append(plain, c), append(at, i)
		}
		i += length
	}
	return plain, append(at, len(text)), changed
}

// unit returns what the escape at the beginning of a text says, and its length; 0 if none begins there.
func unit(text []byte) (said []byte, length int) {
	switch {
	case text[0] == '\r', text[0] == '\n': // with the indentation of the next line
		for length < len(text) && strings.IndexByte("\r\n\t ", text[length]) >= 0 {
			length++
		}
		return nil, length
	case text[0] == '%' && len(text) > 2:
		high, low := digit(text[1]), digit(text[2])
		if high < 0 || low < 0 {
			return nil, 0
		}
		return []byte{byte(high<<4 | low)}, 3
	case text[0] == '\\' && len(text) > 3 && text[1] == 'x' && digit(text[2]) >= 0 && digit(text[3]) >= 0:
		return []byte{byte(digit(text[2])<<4 | digit(text[3]))}, 4
	case text[0] == '\\' && len(text) > 1:
		length = 2
		if text[1] == 'u' {
			length = 6
		}
		var out string
		if len(text) < length || json.Unmarshal([]byte(`"`+string(text[:length])+`"`), &out) != nil {
			return nil, 0
		}
		return []byte(out), length
	case text[0] == '&':
		length = bytes.IndexByte(text[:min(len(text), 12)], ';') + 1
		if length == 0 {
			return nil, 0
		}
		out := html.UnescapeString(string(text[:length]))
		if utf8.RuneCountInString(out) != 1 {
			return nil, 0
		}
		return []byte(out), length
	}
	return nil, 0
}

// digit returns the value of a hexadecimal digit, or -1.
func digit(c byte) int {
	return strings.IndexByte("0123456789abcdef", c|0x20)
}
