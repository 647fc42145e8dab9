package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/internal/graph"
)

// Limits on what is read into memory of a layout.
const (
	maxIndexSize  = 64 << 20 // of index.json: about 200,000 entries
	maxMarkerSize = 4 << 10  // of oci-layout
)

// Layout is an OCI image layout: a directory, or a tar archive of one, which is read only. Symbolic
// links never lead out of the directory or archive. Blobs are verified when they are read. Blobs
// that are already in a directory are hashed once before they are reused.
//
// A Layout is safe for concurrent use. Several processes may write to the same directory: each
// changes index.json under a lock (on Unix), and a blob appears under its name only when it is
// complete. A Layout reads index.json when it is opened, and again when something is copied into it
// or when it changes index.json. It does not see other changes of other processes.
type Layout struct {
	path   string
	files  layoutFiles
	dir    *layoutDir // nil for an archive
	trust  bool
	noSync bool

	mu       sync.Mutex
	index    *layoutIndex                // never changed: a new one takes its place
	verified map[digest.Digest]fileState // blobs that were hashed
	graph    *layoutGraph                // nil until it is needed
}

// LayoutOptions are the options of OpenLayout.
type LayoutOptions struct {
	// Create creates an empty layout if the directory does not exist or is empty. Default:
	// OpenLayout fails.
	Create bool

	// TrustBlobs reuses an existing blob file without hashing it if it has the right size. Default:
	// the file is hashed first.
	TrustBlobs bool

	// NoSync does not flush blobs to stable storage. After a power failure, a blob file may then be
	// incomplete; the next call that hashes it replaces it. Default: blobs are flushed.
	NoSync bool
}

// layoutFiles is where the files of a layout are read from.
type layoutFiles interface {
	// open returns a file by its slash-separated path in the layout. It fails with fs.ErrNotExist
	// or ErrNotLayout.
	open(name string) (*layoutFile, error)
	io.Closer
}

// layoutFile is an open file of a layout.
type layoutFile struct {
	*io.SectionReader

	closer io.Closer
	state  fileState
}

// fileState tells whether a file has changed since it was hashed.
type fileState struct {
	size    int64
	modTime int64
}

// Close closes the file.
func (f *layoutFile) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// OpenLayout opens the layout in a directory.
//
// Errors:
//   - [ErrNotLayout] if the directory is not a layout, or if a file of the layout is a symbolic
//     link or a device
//   - *[fs.PathError] if the directory cannot be opened or created
func OpenLayout(dir string, opts *LayoutOptions) (*Layout, error) {
	var o LayoutOptions
	if opts != nil {
		o = *opts
	}
	l := &Layout{path: dir, trust: o.TrustBlobs, noSync: o.NoSync, verified: map[digest.Digest]fileState{}}
	d, err := openLayoutDir(dir, o.Create)
	if err != nil {
		return nil, l.fail(err)
	}
	l.files, l.dir = d, d
	if err := l.load(); err != nil {
		_ = d.Close() // it was only read
		return nil, l.fail(err)
	}
	return l, nil
}

// bad returns an error for a layout that was not opened.
func (l *Layout) bad() error {
	if l == nil || l.files == nil {
		return refuse("Layout", notOpened)
	}
	return nil
}

const notOpened = "it is nil or a zero value: open it with OpenLayout or OpenArchive"

// fail adds which layout it was.
func (l *Layout) fail(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*layoutError](err); ok {
		return err
	}
	return &layoutError{"layout " + shown(l.path), err}
}

// load reads the marker and the index.
func (l *Layout) load() error {
	raw, err := readSmall(l.files, ocispec.ImageLayoutFile, maxMarkerSize)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := l.files.open("manifest.json"); err == nil {
			return fmt.Errorf("%w: this is an archive of docker before version 25, which holds no manifests", ErrNotLayout)
		}
		return fmt.Errorf("%w: there is no file %s", ErrNotLayout, ocispec.ImageLayoutFile)
	} else if err != nil {
		return err
	}
	var marker ocispec.ImageLayout
	if err := json.Unmarshal(raw, &marker); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNotLayout, ocispec.ImageLayoutFile, err)
	}
	if marker.Version != ocispec.ImageLayoutVersion {
		return fmt.Errorf("%w: its version is %q, want %s", ErrNotLayout, shown(marker.Version), ocispec.ImageLayoutVersion)
	}
	return l.reload()
}

// reload reads index.json, which other processes may have changed.
func (l *Layout) reload() error {
	index, err := readIndex(l.files)
	if err != nil {
		return err
	}
	l.replaceIndex(index)
	return nil
}

// replaceIndex takes over what index.json says now.
func (l *Layout) replaceIndex(x *layoutIndex) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index, l.graph = x, nil
}

// current returns what index.json said when it was last read.
func (l *Layout) current() *layoutIndex {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.index
}

// readSmall returns the content of a small file.
func readSmall(files layoutFiles, name string, limit int64) ([]byte, error) {
	f, err := files.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	if f.Size() > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes, the limit is %d", ErrNotLayout, name, f.Size(), limit)
	}
	return io.ReadAll(f)
}

// Close closes the directory or archive.
func (l *Layout) Close() error {
	if err := l.bad(); err != nil {
		return err
	}
	return l.files.Close()
}

// Path returns the path that the layout was opened with.
func (l *Layout) Path() string {
	if l == nil {
		return ""
	}
	return l.path
}

// String returns the path of the layout.
func (l *Layout) String() string { return l.Path() }

// Entry is one entry of a layout's index.json.
type Entry struct {
	// Name is the name of the image: the annotation org.opencontainers.image.ref.name or, if it is
	// missing, io.containerd.image.name. It is empty if both are missing.
	Name       string
	Descriptor ocispec.Descriptor // as it is in index.json
}

// Entries ranges over the entries of index.json in their order.
func (l *Layout) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		if l.bad() != nil {
			return
		}
		for _, e := range l.current().entries {
			if !yield(Entry{Name: e.name(), Descriptor: e.descriptor}) {
				return
			}
		}
	}
}

// Resolve returns the descriptor of an image. reference is a name in index.json, the tag of such a
// name, or the digest of a manifest. If it is empty, index.json must have exactly one entry.
//
// Errors:
//   - [errdef.ErrNotFound] if the layout has no such image
//   - [ErrAmbiguous] if several images match the reference
func (l *Layout) Resolve(_ context.Context, reference string) (ocispec.Descriptor, error) {
	if err := l.bad(); err != nil {
		return ocispec.Descriptor{}, err
	}
	d, err := l.current().resolve(reference)
	if dgst, invalid := parseDigest(reference); err != nil && invalid == nil {
		return l.resolveDigest(dgst)
	}
	return d, l.fail(err)
}

// resolveDigest describes a manifest that index.json does not name itself.
func (l *Layout) resolveDigest(dgst digest.Digest) (ocispec.Descriptor, error) {
	content, err := l.manifest(ocispec.Descriptor{Digest: dgst})
	if err != nil {
		return ocispec.Descriptor{}, l.fail(err)
	}
	body, err := graph.Read("", content)
	if err != nil || body.MediaType == "" {
		return ocispec.Descriptor{}, l.fail(notFound("%s is not a manifest", dgst))
	}
	return ocispec.Descriptor{MediaType: body.MediaType, Digest: dgst, Size: int64(len(content))}, nil
}

// Tags calls fn once with the sorted names of index.json after last.
func (l *Layout) Tags(_ context.Context, last string, fn func(tags []string) error) error {
	if err := l.bad(); err != nil {
		return err
	}
	var names []string
	for e := range l.Entries() {
		if e.Name > last {
			names = append(names, e.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return fn(slices.Compact(names))
}

// blobPath returns where the blob of a digest is in a layout. The digest must be valid.
func blobPath(d digest.Digest) string {
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// openPath opens the layout at a path, a directory or an archive.
func openPath(ctx context.Context, name string) (*Layout, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, &layoutError{"layout " + shown(name), err}
	}
	if info.IsDir() {
		return OpenLayout(name, nil)
	}
	return openArchive(ctx, filepath.Clean(name))
}
