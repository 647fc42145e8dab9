package transfer

import (
	_ "crypto/sha256" // for go-digest
	_ "crypto/sha512" // for go-digest
	"encoding"
	"fmt"
	"hash"

	"github.com/opencontainers/go-digest"
)

// hasher is a running hash whose state can be saved and restored.
type hasher struct {
	hash      hash.Hash
	algorithm digest.Algorithm
	n         int64 // bytes hashed
	meter     *Meter
}

// newHasher returns a hasher at the start of the content, or at the offset of the checkpoint if
// that has a hash state.
func newHasher(a digest.Algorithm, m *Meter, cp *Checkpoint) (*hasher, error) {
	if a == "" {
		a = digest.SHA256
	}
	if !a.Available() {
		return nil, fmt.Errorf("digest algorithm %q is not available", string(a))
	}
	h := &hasher{hash: a.Hash(), algorithm: a, meter: m}
	if cp != nil && cp.Offset > 0 && len(cp.HashState) > 0 {
		u, ok := h.hash.(encoding.BinaryUnmarshaler)
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
	n, err := h.hash.Write(p)
	h.n += int64(n)
	h.meter.hashed.Add(int64(n))
	return n, err
}

// state returns the saved state of the hash, or nil if the hash cannot be saved.
func (h *hasher) state() []byte {
	if m, ok := h.hash.(encoding.BinaryMarshaler); ok {
		if b, err := m.MarshalBinary(); err == nil {
			return b
		}
	}
	return nil
}

// digest returns the digest of what was hashed so far.
func (h *hasher) digest() digest.Digest { return digest.NewDigest(h.algorithm, h.hash) }
