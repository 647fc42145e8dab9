package retention

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
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

func bodyKey(d digest.Digest) string { return "body2/" + string(d) }

func loadBody(c Cache, d digest.Digest) *body {
	if c == nil {
		return nil
	}
	entry, ok := c.Load(bodyKey(d))
	b := &body{}
	if !ok || json.Unmarshal(entry, b) != nil || b.Kind == "" {
		return nil
	}
	b.Artifact = intern(b.Artifact)
	return b
}

func storeBody(c Cache, d digest.Digest, b *body) {
	if c == nil {
		return
	}
	if entry, err := json.Marshal(b); err == nil {
		c.Store(bodyKey(d), entry)
	}
}
