package retention

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
)

// Cache stores which manifests and blobs a manifest names, which never changes, and when a manifest
// was last seen with a tag. With a Cache, a second run reads only new manifests. Its content is
// trusted: anybody who can write to it decides what is deleted. An invalid entry counts as missing.
// Both methods must be safe for concurrent use.
type Cache interface {
	// Load returns the entry of a key. ok is false if there is none.
	Load(key string) (entry []byte, ok bool)
	// Store stores an entry. If it cannot, it drops the entry without an error.
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
