package acrsuite

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Encodings are the forms in which a text may repeat a secret.
var Encodings = map[string]func(secret string) string{
	"raw":              func(s string) string { return s },
	"percent":          url.QueryEscape,
	"percent, by byte": func(s string) string { return byByte("%", s, "") },
	"JSON": func(s string) string {
		b, _ := json.Marshal(s) //nolint:errchkjson // a string always has a form
		return strings.Trim(string(b), `"`)
	},
	"JSON, by byte":  func(s string) string { return byByte(`\u00`, s, "") },
	"HTML, by byte":  func(s string) string { return byByte("&#x", s, ";") },
	"C, by byte":     func(s string) string { return byByte(`\x`, s, "") },
	"hexadecimal":    func(s string) string { return byByte("", s, "") },
	"capital digits": func(s string) string { return strings.ToUpper(byByte("", s, "")) },
	"percent twice":  func(s string) string { return url.QueryEscape(byByte("%", s, "")) },
	"base64":         func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64url":      func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"lines": func(s string) string {
		var b strings.Builder
		for len(s) > 20 {
			b.WriteString(s[:20] + "\n ")
			s = s[20:]
		}
		return b.String() + s
	},
}

func byByte(mark, s, end string) string {
	var b strings.Builder
	for i := range len(s) {
		_, _ = fmt.Fprintf(&b, "%s%02x%s", mark, s[i], end) // never fails
	}
	return b.String()
}

// leastEncoded is the length from which on a run of letters may be a secret in base64.
const leastEncoded = 24

// eachForm gives each form in which a text may hold a secret: the text as it is, and what it says once its escapes, those
// behind them, its line breaks, its base64 and its hexadecimal digits are undone.
func eachForm(text string, look func(form string)) {
	look(text)
	for range 3 {
		plain := unescaped(text)
		if plain == text {
			break
		}
		text = plain
		look(text)
	}
	encodedIn(text, look)
	digitsIn(text, look)
}

// unescaped undoes the escapes of URLs, JSON, C and HTML in a text, and its line breaks.
func unescaped(text string) string {
	if strings.Contains(text, "%") {
		text = unescape(text, "%", 2)
	}
	if strings.Contains(text, `\`) {
		text = unescape(unescape(text, `\u`, 4), `\x`, 2)
		text = strings.NewReplacer(`\n`, "\n", `\r`, "\n").Replace(text)
	}
	if strings.Contains(text, "&") {
		text = html.UnescapeString(text)
	}
	if strings.Contains(text, "\n") {
		text = strings.NewReplacer("\n ", "", "\n", "").Replace(text)
	}
	return text
}

// Most time of the suites goes into the loops below, over strings, which nobody changes; so the race detector is kept out.

// unescape undoes escapes of a mark and so many hexadecimal digits; what is none stays.
//
//go:norace
func unescape(text, mark string, digits int) string {
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		end := i + len(mark) + digits
		if text[i] == mark[0] && end <= len(text) && text[i:i+len(mark)] == mark {
			if c, ok := hexadecimal(text[i+len(mark) : end]); ok {
				if digits == 2 {
					plain = append(plain, byte(c))
				} else {
					plain = utf8.AppendRune(plain, c)
				}
				i = end - 1
				continue
			}
		}
		plain = append(plain, text[i])
	}
	return string(plain)
}

//go:norace
func hexadecimal(digits string) (n rune, ok bool) {
	for i := range len(digits) {
		switch c := digits[i]; {
		case c >= '0' && c <= '9':
			n = n<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// What is a letter of base64's two alphabets, with its value there, and what is a hexadecimal digit; -1 stands for what is none.
var (
	sextets = func() [256]int8 {
		t := valuesOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
		t['+'], t['-'], t['/'], t['_'] = 62, 62, 63, 63
		return t
	}()
	nibbles = valuesOf("0123456789abcdefABCDEF")
)

func valuesOf(alphabet string) (t [256]int8) {
	for i := range t {
		t[i] = int8(strings.IndexByte(alphabet, byte(i)))
	}
	return t
}

// eachRun gives the runs in a text of at least so many letters that have a value.
//
//go:norace
func eachRun(text string, values *[256]int8, least int, look func(run string)) {
	start := -1
	for i := range len(text) + 1 {
		if i < len(text) && values[text[i]] >= 0 {
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 && i-start >= least {
			look(text[start:i])
		}
		start = -1
	}
}

// encodedIn gives what the runs of letters in a text say in base64, where that is text.
func encodedIn(text string, look func(form string)) {
	eachRun(text, &sextets, leastEncoded, func(run string) {
		if plain, ok := fromBase64(run); ok {
			look(plain)
		}
	})
}

// digitsIn gives what the runs of hexadecimal digits in a text say, where that is text.
func digitsIn(text string, look func(form string)) {
	eachRun(text, &nibbles, 2*leastEncoded, func(run string) {
		if plain, err := hex.DecodeString(run[:len(run)/2*2]); err == nil && isText(plain) {
			look(string(plain))
		}
	})
}

func isText(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c < ' ' || c > '~' })
}

// fromBase64 decodes a run of either alphabet, and tells whether the result is printable.
//
//go:norace
func fromBase64(run string) (string, bool) {
	var plain []byte
	bits := 0
	for i := range len(run) / 4 * 4 {
		bits = bits<<6 | int(sextets[run[i]])
		if i%4 < 3 {
			continue
		}
		for shift := 16; shift >= 0; shift -= 8 {
			c := byte(bits >> shift)
			if c < ' ' || c > '~' {
				return "", false
			}
			plain = append(plain, c)
		}
		bits = 0
	}
	return string(plain), true
}
