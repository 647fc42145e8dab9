package graph

import (
	"bytes"
	"encoding/json"

	"github.com/opencontainers/go-digest"
)

// digestsIn returns every digest in the content, each once, in the order of their first occurrence. It reads the content as
// text, so that it finds digests in a document of any format, and then, as far as the content is JSON, the strings of it,
// where a digest may be written with escapes.
func digestsIn(content []byte) []digest.Digest {
	f := finder{seen: map[digest.Digest]bool{}}
	f.find(content)
	d := json.NewDecoder(bytes.NewReader(content))
	for {
		t, err := d.Token()
		if err != nil {
			return f.found
		}
		if s, ok := t.(string); ok {
			f.find([]byte(s))
		}
	}
}

type finder struct {
	found []digest.Digest
	seen  map[digest.Digest]bool
}

func (f *finder) find(text []byte) {
	for {
		at := bytes.IndexByte(text, ':')
		if at < 0 {
			return
		}
		if d := digestAround(text, at); d != "" && !f.seen[d] {
			f.seen[d] = true
			f.found = append(f.found, d)
		}
		text = text[at+1:]
	}
}

// digestAround returns the digest whose colon is at the position, or "".
func digestAround(text []byte, at int) digest.Digest {
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512, digest.SHA384} {
		if !bytes.HasSuffix(text[:at], []byte(algorithm)) {
			continue
		}
		end := at + 1
		for end < len(text) && isHex(text[end]) {
			end++
		}
		d := digest.Digest(text[at-len(algorithm) : end])
		if d.Validate() == nil {
			return d
		}
	}
	return ""
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }
