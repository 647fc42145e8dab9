package fakeacr

import (
	"fmt"
	"slices"
	"strings"
)

// images are manifests that can be read: their digests are those of their bodies. They are the same in
// every repository.
type images struct {
	digests []string       // in order
	number  map[string]int // the number in the body, by digest
}

// imageBody returns the body of a manifest.
func imageBody(number int) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":`+
		`"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",`+
		`"size":2},"layers":[],"annotations":{"number":"%d"}}`, number)
}

func newImages(n int) *images {
	m := &images{number: make(map[string]int, n)}
	for i := range n {
		d := sha(imageBody(i))
		m.digests = append(m.digests, d)
		m.number[d] = i
	}
	slices.Sort(m.digests)
	return m
}

// digest returns the digest of entry i of the lists, where tags and manifests go together.
func (m *images) digest(i int) string {
	if m == nil {
		return manifestDigest(i)
	}
	return m.digests[i%len(m.digests)]
}

// find returns the manifest of a tag or digest.
func (m *images) find(ref string) (*manifest, bool) {
	if m == nil {
		return nil, false
	}
	if i := 0; !strings.Contains(ref, ":") {
		if _, err := fmt.Sscanf(ref, "v1.%d-build", &i); err != nil || i < 0 || tagName(i) != ref {
			return nil, false
		}
		ref = m.digest(i)
	}
	number, ok := m.number[ref]
	if !ok {
		return nil, false
	}
	return &manifest{"application/vnd.oci.image.manifest.v1+json", ref, imageBody(number)}, true
}
