package retention

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/graph"
)

// Cache keeps what manifests name, which never changes, and when a manifest was last seen with a
// tag. With a Cache, a second run reads only the manifests that are new. A Cache is trusted:
// anybody who can write to it decides what is deleted. An entry that cannot be read counts as
// missing. Both methods must be safe for concurrent use.
type Cache interface {
	// Load returns the entry of a key. ok is false if there is none.
	Load(key string) (entry []byte, ok bool)
	// Store keeps an entry. It may drop it, and reports nothing.
	Store(key string, entry []byte)
}

// cachedBody is a body as the cache keeps it.
type cachedBody struct {
	Kind     graph.Kind        `json:"k"`
	Artifact string            `json:"a,omitzero"`
	Subject  digest.Digest     `json:"s,omitzero"`
	Named    []cachedReference `json:"n,omitzero"`
	Others   []uint64          `json:"o,omitzero"`
	Blobs    []cachedBlob      `json:"b,omitzero"`
	Sizes    bool              `json:"z,omitzero"`
}

type cachedReference struct {
	Digest   digest.Digest `json:"d"`
	Child    bool          `json:"c,omitzero"`
	Platform string        `json:"p,omitzero"`
}

type cachedBlob struct {
	Digest digest.Digest `json:"d"`
	Size   int64         `json:"s"`
}

func bodyKey(d digest.Digest) string { return "body1/" + string(d) }

func loadBody(c Cache, d digest.Digest, sizes bool) *body {
	if c == nil {
		return nil
	}
	entry, ok := c.Load(bodyKey(d))
	if !ok {
		return nil
	}
	var v cachedBody
	if json.Unmarshal(entry, &v) != nil || v.Kind == "" || sizes && !v.Sizes {
		return nil
	}
	b := &body{kind: v.Kind, artifact: intern(v.Artifact), subject: v.Subject, others: v.Others}
	for _, r := range v.Named {
		b.named = append(b.named, reference{r.Digest, r.Child, r.Platform})
	}
	for _, x := range v.Blobs {
		b.blobs = append(b.blobs, blob{x.Digest, x.Size})
	}
	return b
}

func storeBody(c Cache, d digest.Digest, b *body, sizes bool) {
	if c == nil {
		return
	}
	v := cachedBody{Kind: b.kind, Artifact: b.artifact, Subject: b.subject, Others: b.others, Sizes: sizes}
	for _, r := range b.named {
		v.Named = append(v.Named, cachedReference{r.digest, r.child, r.platform})
	}
	for _, x := range b.blobs {
		v.Blobs = append(v.Blobs, cachedBlob{x.digest, x.size})
	}
	if entry, err := json.Marshal(v); err == nil {
		c.Store(bodyKey(d), entry)
	}
}
