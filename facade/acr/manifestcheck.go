package acr

import (
	"fmt"
	"strings"
	"unicode"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/jsonscan"
)

// kind is how a manifest is decoded.
type kind uint8

const (
	kindOther kind = iota // any other; only its bytes are known
	kindImage
	kindIndex
)

func kindOf(mediaType string) kind {
	switch mediaType {
	case ocispec.MediaTypeImageManifest, MediaTypeDockerManifest:
		return kindImage
	case ocispec.MediaTypeImageIndex, MediaTypeDockerManifestList:
		return kindIndex
	default:
		return kindOther
	}
}

func isSchema1(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.docker.distribution.manifest.v1+")
}

func malformedManifest(format string, args ...any) error {
	return contradicts(ErrManifestMalformed, format, args...)
}

// checkManifest returns the media type of a manifest. It fails if two programs could understand the
// manifest differently: if Content-Type and mediaType differ, if it has members of both an image
// and an index, or if it has a member twice. See CVE-2021-41190
// (https://github.com/opencontainers/distribution-spec/security/advisories/GHSA-mc8v-mgrf-8f4m).
func checkManifest(content []byte, contentType string) (mediaType string, err error) {
	top, err := outline(content)
	if err != nil {
		if kindOf(contentType) == kindOther && contentType != "" {
			return contentType, nil // an unknown kind of document, which may have any content
		}
		return "", err
	}
	switch {
	case contentType != "" && top.mediaType != "" && contentType != top.mediaType:
		return "", malformedManifest("it is sent as %s, and calls itself %s", quote(contentType), quote(top.mediaType))
	case contentType != "":
		mediaType = contentType
	case top.mediaType != "":
		mediaType = top.mediaType
	default:
		return "", malformedManifest("its media type is stated neither in it nor beside it")
	}
	switch k := kindOf(mediaType); {
	case top.members["manifests"] && (top.members["layers"] || top.members["config"]):
		return "", malformedManifest("it has the members of an image and of an index")
	case k == kindImage && top.members["manifests"]:
		return "", malformedManifest("%s with the manifests of an index", quote(mediaType))
	case k == kindIndex && (top.members["layers"] || top.members["config"]):
		return "", malformedManifest("%s with the layers of an image", quote(mediaType))
	case k != kindOther && top.members["fsLayers"]:
		return "", malformedManifest("%s with the layers of Docker schema 1", quote(mediaType))
	}
	return mediaType, nil
}

// manifestOutline is what the check needs to know of a document.
type manifestOutline struct {
	mediaType string
	members   map[string]bool
}

// knownMembers are the members that decide how a manifest is decoded.
var knownMembers = func() map[string]string {
	known := make(map[string]string)
	for _, name := range []string{"schemaVersion", "mediaType", "artifactType", "config", "layers", "blobs", "manifests", "subject", "annotations", "fsLayers"} {
		known[foldKey(name)] = name
	}
	return known
}()

// outline reads the outermost members of a document. It fails if a member occurs twice, even in
// another case, or if a known member has another case, because readers differ in which one they
// use. Keys of annotations are case-sensitive.
func outline(content []byte) (manifestOutline, error) {
	top := manifestOutline{members: make(map[string]bool)}
	s := jsonscan.New(content)
	seen := make(uniqueKeys)
	err := s.Document(func(key []byte) {
		name := string(key)
		if !seen.add(s, name, true) {
			return
		}
		if known := knownMembers[foldKey(name)]; known != "" && known != name {
			s.Fail("the member %s is %q in another case", quote(name), known)
			return
		}
		top.members[name] = true
		if name == "mediaType" {
			top.mediaType = string(s.Text())
			return
		}
		unique(s, name != "annotations")
	})
	if err != nil {
		return top, malformedManifest("%v", err)
	}
	return top, nil
}

// uniqueKeys are the keys of one object.
type uniqueKeys map[string]struct{}

// add adds a key. It fails the scan if the key is already there.
func (u uniqueKeys) add(s *jsonscan.Scanner, key string, fold bool) bool {
	if fold {
		key = foldKey(key)
	}
	if _, twice := u[key]; twice {
		s.Fail("the member %s is there twice", quote(key))
		return false
	}
	u[key] = struct{}{}
	return true
}

// foldKey maps keys that encoding/json treats as the same to one key: letters of any case, and
// characters that Unicode folds to them ("ſ" to "s").
func foldKey(key string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, key)
}

// unique reads any value, and fails the scan if an object has a key twice.
func unique(s *jsonscan.Scanner, fold bool) {
	switch s.Next() {
	case '{':
		seen := make(uniqueKeys)
		s.Object(func(key []byte) {
			name := string(key)
			if seen.add(s, name, fold) {
				unique(s, name != "annotations")
			}
		})
	case '[':
		s.Array(func() { unique(s, true) })
	default:
		s.Skip()
	}
}

// quote returns a server's text quoted and shortened.
func quote(s string) string {
	if len(s) > 80 {
		s = s[:80]
	}
	return fmt.Sprintf("%+q", s)
}
