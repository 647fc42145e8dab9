package transfer

import (
	_ "crypto/sha256" // for go-digest
	_ "crypto/sha512" // for go-digest
	"encoding"
	"fmt"
	"hash"

	"github.com/opencontainers/go-digest"
)

// hasher is a running hash that can be written down and taken up again.
type hasher struct {
	hash.Hash
	algorithm digest.Algorithm
	n         int64 // bytes hashed
	m         *Meter
}

// newHasher begins at the start of the content, or where the checkpoint was taken.
func newHasher(a digest.Algorithm, m *Meter, cp *Checkpoint) (*hasher, error) {
	if a == "" {
		a = digest.SHA256
	}
	if !a.Available() {
		return nil, fmt.Errorf("digest algorithm %q is not available", string(a))
	}
	h := &hasher{Hash: a.Hash(), algorithm: a, m: m}
	if cp != nil && cp.Offset > 0 && len(cp.HashState) > 0 {
		u, ok := h.Hash.(encoding.BinaryUnmarshaler)
		if !ok || cp.Algorithm != a {
			return nil, fmt.Errorf("the checkpoint's hash is %q, not %q", string(cp.Algorithm), string(a))
		}
		if err := u.UnmarshalBinary(cp.HashState); err != nil {
			return nil, fmt.Errorf("the checkpoint's hash state: %w", err)
		}
		h.n = cp.Offset
	}
	return h, nil
}

func (h *hasher) Write(p []byte) (int, error) {
	n, err := h.Hash.Write(p)
	h.n += int64(n)
	h.m.hashed.Add(int64(n))
	return n, err
}

// state writes the hash down; nil when it cannot be.
func (h *hasher) state() []byte {
	if m, ok := h.Hash.(encoding.BinaryMarshaler); ok {
		if b, err := m.MarshalBinary(); err == nil {
			return b
		}
	}
	return nil
}

// digest of what was hashed so far.
func (h *hasher) digest() digest.Digest { return digest.NewDigest(h.algorithm, h) }

// Checkpoint is what another process needs to go on with an upload.
type Checkpoint struct {
	Location  string
	Offset    int64 // acknowledged by the registry, and hashed
	Algorithm digest.Algorithm
	HashState []byte
}
