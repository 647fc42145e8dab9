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
		return "", malformedManifest("its stated media type is %s, its member mediaType is %s", quote(contentType), quote(top.mediaType))
	case contentType != "":
		mediaType = contentType
	case top.mediaType != "":
		mediaType = top.mediaType
	default:
		return "", malformedManifest("it has no member mediaType, and no media type was stated with it (Content-Type, PutManifestOptions.MediaType)")
	}
	switch k := kindOf(mediaType); {
	case top.members["manifests"] && (top.members["layers"] || top.members["config"]):
		return "", malformedManifest("it has the members of an image and of an index")
	case k == kindImage && top.members["manifests"]:
		return "", malformedManifest("its media type is %s, but it has the member manifests of an index", quote(mediaType))
	case k == kindIndex && (top.members["layers"] || top.members["config"]):
		return "", malformedManifest("its media type is %s, but it has the layers or config of an image", quote(mediaType))
	case k != kindOther && top.strange != "":
		return "", malformedManifest("%s", top.strange)
	case k != kindOther && top.members["fsLayers"]:
		return "", malformedManifest("its media type is %s, but it has the member fsLayers of Docker schema 1", quote(mediaType))
	}
	return mediaType, nil
}

// manifestOutline is what the check needs to know of a document.
type manifestOutline struct {
	mediaType string
	members   map[string]bool
	strange   string // what has another JSON type than the specifications give it; empty if nothing
}

// hasType reports whether the next value has a JSON type, which its first character tells. A value of
// another type is noted and read.
func (o *manifestOutline) hasType(s *jsonscan.Scanner, name string, first byte) bool {
	c := s.Next()
	if c == first {
		return true
	}
	if c != 'n' && o.strange == "" { // null is like nothing
		o.strange = fmt.Sprintf("%s has a value of another type than specified", quote(name))
	}
	unique(s)
	return false
}

// known maps the folded names of members to the names that the specifications give them.
type known map[string]string

func knownAs(names ...string) known {
	k := make(known)
	for _, name := range names {
		k[foldKey(name)] = name
	}
	return k
}

// The members that decide how a manifest is decoded. Nobody specifies others, so they may have any
// name, and differ from each other by case alone.
var (
	manifestMembers = knownAs("schemaVersion", "mediaType", "artifactType", "config", "layers", "blobs", "manifests",
		"subject", "annotations", "fsLayers")
	descriptorMembers = knownAs("mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType")
	platformMembers   = knownAs("architecture", "os", "os.version", "os.features", "variant")
)

// maxDescriptors is how many layers or manifests a manifest may list: more than fit into 4 MiB if
// each has a digest. An empty object would become a hundred times as large in memory.
const maxDescriptors = 1 << 16

// maxItems is how many members an object of a manifest may have, or how many texts a list in a descriptor: a hundred times as many as
// anybody needs.
const maxItems = 10_000

// outline reads the outermost members of a document and the descriptors in it. It fails if a member
// occurs twice, or if a specified member has another case, because readers differ in which one they
// use.
func outline(content []byte) (manifestOutline, error) {
	top := manifestOutline{members: make(map[string]bool)}
	s := jsonscan.New(content)
	seen := make(map[string]struct{})
	err := s.Document(func(key []byte) {
		name := string(key)
		if !once(s, seen, name, manifestMembers) {
			return
		}
		top.members[name] = true
		switch name {
		case "mediaType":
			top.mediaType = string(s.Text())
		case "config", "subject":
			descriptor(s, &top, name)
		case "layers", "blobs", "manifests":
			descriptors(s, &top, name)
		default:
			unique(s)
		}
	})
	if err != nil {
		return top, malformedManifest("%v", err)
	}
	return top, nil
}

// once notes the name of a member. It fails the scan if the name is already there, or is a
// specified one in another case.
func once(s *jsonscan.Scanner, seen map[string]struct{}, name string, specified known) bool {
	if _, twice := seen[name]; twice {
		s.Fail("the member %s is there twice", quote(name))
		return false
	}
	if !room(s, len(seen), maxItems) {
		return false
	}
	if as := specified[foldKey(name)]; as != "" && as != name {
		s.Fail("the member %s is %q in another case", quote(name), as)
		return false
	}
	seen[name] = struct{}{}
	return true
}

// members reads an object and calls member for each member, which must read the value. Anything but
// an object is read like any value.
func members(s *jsonscan.Scanner, specified known, member func(name string)) {
	if s.Next() != '{' {
		unique(s)
		return
	}
	seen := make(map[string]struct{})
	s.Object(func(key []byte) {
		if name := string(key); once(s, seen, name, specified) {
			member(name)
		}
	})
}

// descriptor reads a descriptor.
func descriptor(s *jsonscan.Scanner, o *manifestOutline, of string) {
	if !o.hasType(s, of, '{') {
		return
	}
	members(s, descriptorMembers, func(name string) {
		switch name {
		case "mediaType", "digest":
			if o.hasType(s, name, '"') {
				s.Skip()
			}
		default:
			descriptorMember(s, name)
		}
	})
}

// descriptorMember reads a member of a descriptor whose value is of no interest.
func descriptorMember(s *jsonscan.Scanner, name string) {
	if name == "platform" {
		members(s, platformMembers, func(string) { few(s) })
		return
	}
	few(s)
}

// atMost reads a list of at most so many entries.
func atMost(s *jsonscan.Scanner, most int, entry func()) {
	n := 0
	s.Array(func() {
		if room(s, n, most) {
			entry()
		}
		n++
	})
}

// few is unique for a value that is no long list.
func few(s *jsonscan.Scanner) {
	if s.Next() != '[' {
		unique(s)
		return
	}
	atMost(s, maxItems, func() { unique(s) })
}

// descriptors reads a list of them.
func descriptors(s *jsonscan.Scanner, o *manifestOutline, of string) {
	if !o.hasType(s, of, '[') {
		return
	}
	atMost(s, maxDescriptors, func() { descriptor(s, o, of) })
}

// unique reads any value. It fails if a member of an object occurs twice.
func unique(s *jsonscan.Scanner) {
	switch s.Next() {
	case '{':
		members(s, nil, func(string) { unique(s) })
	case '[':
		s.Array(func() { unique(s) })
	default:
		s.Skip()
	}
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

// quote returns a server's text quoted and shortened.
func quote(s string) string {
	if len(s) > 80 {
		s = s[:80]
	}
	return fmt.Sprintf("%+q", s)
}
