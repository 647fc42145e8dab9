package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// containerdName is the annotation in which containerd writes an image's full name.
const containerdName = "io.containerd.image.name"

// layoutIndex is index.json. What this package does not know of it is kept as it is.
type layoutIndex struct {
	members map[string]json.RawMessage // without "manifests"
	entries []layoutEntry
}

// layoutEntry is one of its manifests.
type layoutEntry struct {
	descriptor ocispec.Descriptor
	raw        json.RawMessage // as somebody wrote it; nil for a new entry
}

// name is the name that the entry is shown with.
func (e layoutEntry) name() string {
	a := e.descriptor.Annotations
	if name := a[ocispec.AnnotationRefName]; name != "" {
		return name
	}
	return a[containerdName]
}

// newLayoutIndex is the index of an empty layout.
func newLayoutIndex() *layoutIndex {
	return &layoutIndex{members: map[string]json.RawMessage{
		"schemaVersion": json.RawMessage("2"),
		"mediaType":     json.RawMessage(`"` + ocispec.MediaTypeImageIndex + `"`),
	}}
}

// parseIndex reads index.json.
func parseIndex(raw []byte) (*layoutIndex, error) {
	x := &layoutIndex{}
	if err := json.Unmarshal(raw, &x.members); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNotLayout, ocispec.ImageIndexFile, err)
	}
	var version specs.Versioned
	if err := json.Unmarshal(raw, &version); err != nil || version.SchemaVersion != 2 {
		return nil, fmt.Errorf("%w: %s has no schemaVersion 2", ErrNotLayout, ocispec.ImageIndexFile)
	}
	var manifests []json.RawMessage
	if m := x.members["manifests"]; m != nil {
		if err := json.Unmarshal(m, &manifests); err != nil {
			return nil, fmt.Errorf("%w: %s: manifests: %w", ErrNotLayout, ocispec.ImageIndexFile, err)
		}
	}
	delete(x.members, "manifests")
	for i, m := range manifests {
		e := layoutEntry{raw: m}
		if err := json.Unmarshal(m, &e.descriptor); err != nil {
			return nil, fmt.Errorf("%w: %s: manifest %d: %w", ErrNotLayout, ocispec.ImageIndexFile, i, err)
		}
		if err := checkDigest(e.descriptor.Digest); err != nil {
			return nil, fmt.Errorf("%w: %s: manifest %d: %w", ErrNotLayout, ocispec.ImageIndexFile, i, err)
		}
		x.entries = append(x.entries, e)
	}
	return x, nil
}

// bytes writes the index: its members in the order of their names, the entries as they are.
func (x *layoutIndex) bytes() ([]byte, error) {
	manifests := make([]json.RawMessage, 0, len(x.entries))
	for _, e := range x.entries {
		raw := e.raw
		if raw == nil {
			var err error
			if raw, err = json.Marshal(e.descriptor); err != nil {
				return nil, err
			}
		}
		manifests = append(manifests, raw)
	}
	list, err := json.Marshal(manifests)
	if err != nil {
		return nil, err
	}
	members := maps.Clone(x.members)
	members["manifests"] = list
	return json.Marshal(members)
}

// resolve finds the entry that a reference stands for: by a full name, else by the tag at the end
// of a name, else by digest.
func (x *layoutIndex) resolve(reference string) (ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	for _, matches := range []func(layoutEntry) bool{
		func(e layoutEntry) bool {
			a := e.descriptor.Annotations
			return reference != "" && (a[ocispec.AnnotationRefName] == reference || a[containerdName] == reference)
		},
		func(e layoutEntry) bool { return reference != "" && tagOf(e.name()) == reference },
		func(e layoutEntry) bool { return string(e.descriptor.Digest) == reference },
		func(layoutEntry) bool { return reference == "" },
	} {
		for _, e := range x.entries {
			if matches(e) && !slices.ContainsFunc(found, func(d ocispec.Descriptor) bool { return d.Digest == e.descriptor.Digest }) {
				found = append(found, e.descriptor)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	switch {
	case len(found) == 1:
		return plain(found[0]), nil
	case len(found) > 1 && reference == "":
		return ocispec.Descriptor{}, fmt.Errorf("%w: the layout has %d images, name one", ErrAmbiguous, len(found))
	case len(found) > 1:
		return ocispec.Descriptor{}, fmt.Errorf("%w: %q stands for %d images", ErrAmbiguous, shown(reference), len(found))
	case reference == "":
		return ocispec.Descriptor{}, notFound("the layout is empty")
	default:
		return ocispec.Descriptor{}, notFound("no image is named %q", shown(reference))
	}
}

// plain is a descriptor without what only index.json says of it.
func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, ArtifactType: d.ArtifactType}
}

// tagOf is the tag of a name such as "registry/repository:tag", "" if it has none.
func tagOf(name string) string {
	if at := strings.IndexByte(name, '@'); at >= 0 {
		name = name[:at]
	}
	colon := strings.LastIndexByte(name, ':')
	if colon < strings.LastIndexByte(name, '/') {
		return ""
	}
	return name[colon+1:]
}

// add puts a manifest into the index, under a name unless that is empty. Another entry of that name
// is replaced. It reports whether that changed anything.
func (x *layoutIndex) add(d ocispec.Descriptor, name string) bool {
	d = plain(d)
	if name == "" {
		if x.has(d.Digest) {
			return false
		}
		x.entries = append(x.entries, layoutEntry{descriptor: d})
		return true
	}
	d.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	changed, placed := false, false
	x.entries = slices.DeleteFunc(x.entries, func(e layoutEntry) bool {
		if e.descriptor.Annotations[ocispec.AnnotationRefName] != name {
			return false
		}
		if e.descriptor.Digest == d.Digest && !placed {
			placed = true
			return false
		}
		changed = true
		return true
	})
	if placed {
		return changed
	}
	// An entry without a name is there to keep the manifest: the name does that as well.
	x.entries = slices.DeleteFunc(x.entries, func(e layoutEntry) bool {
		return e.descriptor.Digest == d.Digest && len(e.descriptor.Annotations) == 0
	})
	x.entries = append(x.entries, layoutEntry{descriptor: d})
	return true
}

// named returns the manifests that a name is on, by its full text: more than one if another program
// has entered the name twice.
func (x *layoutIndex) named(name string) []digest.Digest {
	var on []digest.Digest
	for _, e := range x.entries {
		if e.descriptor.Annotations[ocispec.AnnotationRefName] == name && !slices.Contains(on, e.descriptor.Digest) {
			on = append(on, e.descriptor.Digest)
		}
	}
	return on
}

// has tells whether an entry of the digest is there.
func (x *layoutIndex) has(d digest.Digest) bool {
	return slices.ContainsFunc(x.entries, func(e layoutEntry) bool { return e.descriptor.Digest == d })
}

// remove takes out the entries that match, and reports whether there was one.
func (x *layoutIndex) remove(matches func(ocispec.Descriptor) bool) bool {
	n := len(x.entries)
	x.entries = slices.DeleteFunc(x.entries, func(e layoutEntry) bool { return matches(e.descriptor) })
	return len(x.entries) < n
}

// readIndex reads index.json. Other programs overwrite it in place: a document that ends early is
// read again.
func readIndex(files layoutFiles) (*layoutIndex, error) {
	_, canChange := files.(*layoutDir)
	for try := 0; ; try++ {
		raw, err := readSmall(files, ocispec.ImageIndexFile, maxIndexSize)
		if err != nil {
			return nil, notALayout(err, ocispec.ImageIndexFile)
		}
		x, err := parseIndex(raw)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok && try < 3 && syntax.Offset >= int64(len(bytes.TrimSpace(raw))) && canChange {
			<-time.After(10 * time.Millisecond) // for the other program to finish writing
			continue
		}
		return x, err
	}
}

// locked calls do while no other process changes index.json, or removes blobs with Prune or Delete.
func (l *Layout) locked(ctx context.Context, do func() error) error {
	if l.dir == nil {
		return errReadOnly
	}
	unlock, err := l.dir.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return do()
}

// updateIndex changes index.json under the lock.
func (l *Layout) updateIndex(ctx context.Context, change func(*layoutIndex) (changed bool, err error)) error {
	return l.locked(ctx, func() error { return l.rewriteIndex(change) })
}

// rewriteIndex reads index.json anew, changes and replaces it. The lock is held.
func (l *Layout) rewriteIndex(change func(*layoutIndex) (changed bool, err error)) error {
	x, err := readIndex(l.files)
	if err != nil {
		return err
	}
	changed, err := change(x)
	if err != nil {
		return err
	}
	if changed {
		raw, err := x.bytes()
		if err != nil {
			return err
		}
		if err := l.dir.replace(ocispec.ImageIndexFile, raw, 0o644, !l.noSync); err != nil {
			return err
		}
	}
	l.replaceIndex(x)
	return nil
}
