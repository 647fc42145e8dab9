package acrtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/opencontainers/go-digest"
)

// sealer signs upload states and storage links.
type sealer struct {
	key      []byte
	registry string // the registry's id at the storage account, and the beginning of its container's name
}

func newSealer(key []byte) sealer {
	id := sha256.Sum256(append([]byte("registry"), key...))
	return sealer{key: key, registry: hex.EncodeToString(id[:16])}
}

func (g sealer) sign(text string) []byte {
	mac := hmac.New(sha256.New, g.key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

const (
	storageVersion = "2016-05-31"
	storageTime    = "2006-01-02T15:04:05Z"
)

// container is the name of the registry's container. The link has two slashes after it.
func (g sealer) container() string { return "/" + g.registry + "-acrkit0001" }

func (g sealer) storagePath(d digest.Digest) string {
	return g.container() + "//docker/registry/v2/blobs/" + d.Algorithm().String() + "/" + d.Encoded()[:2] + "/" + d.Encoded() + "/data"
}

// storageDigest is the way back.
func (g sealer) storageDigest(path string) (digest.Digest, bool) {
	parts := strings.Split(path, "/")
	if len(parts) < 4 {
		return "", false
	}
	d := digest.NewDigestFromEncoded(digest.Algorithm(parts[len(parts)-4]), parts[len(parts)-2])
	return d, d.Validate() == nil && g.storagePath(d) == path
}

func (g sealer) storageSignature(path, expiry string) string {
	return base64.StdEncoding.EncodeToString(g.sign(strings.Join([]string{"storage", path, expiry, "r", "https", "b", storageVersion}, "\n")))
}
