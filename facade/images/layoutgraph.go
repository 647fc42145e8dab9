package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/acrkit/acrkit/facade/internal/graph"
)

// layoutGraph is what the manifests that index.json reaches name.
type layoutGraph struct {
	parents map[digest.Digest][]ocispec.Descriptor // by what they name
	refers  map[digest.Digest]digest.Digest        // the subjects of referrers
	reached map[digest.Digest]bool                 // manifests and blobs
	unread  error                                  // the first manifest that is there and cannot be read
}

// Predecessors returns the manifests of the layout that name the node: its referrers, the indexes
// of a manifest, and the images of a blob. The first call, and the first after a change, reads all
// manifests of the layout.
func (l *Layout) Predecessors(ctx context.Context, node ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	if err := l.bad(); err != nil {
		return nil, err
	}
	g, err := l.readGraph(ctx)
	if err != nil {
		return nil, l.fail(err)
	}
	return slices.Clone(g.parents[node.Digest]), nil
}

// readGraph reads the manifests from index.json on, each once.
func (l *Layout) readGraph(ctx context.Context) (*layoutGraph, error) {
	l.mu.Lock()
	g, index := l.graph, l.index
	l.mu.Unlock()
	if g != nil {
		return g, nil
	}
	g = &layoutGraph{
		parents: map[digest.Digest][]ocispec.Descriptor{}, refers: map[digest.Digest]digest.Digest{}, reached: map[digest.Digest]bool{},
	}
	var todo []ocispec.Descriptor
	for _, e := range index.entries {
		todo = append(todo, plain(e.descriptor))
	}
	for len(todo) > 0 {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if g.reached[d.Digest] {
			continue
		}
		g.reached[d.Digest] = true
		below, err := l.readNode(d, g)
		if err != nil {
			return nil, err
		}
		todo = append(todo, below...)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.index == index { // it has not changed meanwhile
		l.graph = g
	}
	return g, nil
}

// readNode reads a manifest and returns those below it. One that is not there, or cannot be read,
// names nothing.
func (l *Layout) readNode(d ocispec.Descriptor, g *layoutGraph) (below []ocispec.Descriptor, err error) {
	content, err := l.manifest(d)
	var body *graph.Body
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return nil, nil // as in an index that was pulled for some platforms
	case err == nil:
		body, err = graph.Read(d.MediaType, content)
	case !isBroken(err):
		return nil, err
	}
	if err != nil {
		if g.unread == nil {
			g.unread = err
		}
		return nil, nil
	}
	self := ocispec.Descriptor{MediaType: body.MediaType, Digest: d.Digest, Size: int64(len(content))}
	if body.Subject != nil {
		self.ArtifactType, self.Annotations = body.ArtifactType, body.Annotations
		g.refers[d.Digest] = body.Subject.Digest
	}
	seen := map[digest.Digest]bool{}
	for role, c := range body.Descriptors() {
		if seen[c.Digest] {
			continue
		}
		seen[c.Digest] = true
		g.parents[c.Digest] = append(g.parents[c.Digest], self)
		switch {
		case role == graph.RoleSubject: // a referrer keeps nothing of its subject
		case isManifest(c.MediaType):
			below = append(below, c)
		default:
			g.reached[c.Digest] = true
		}
	}
	return below, nil
}

// Prune removes all blobs and manifests that no entry of index.json needs, and the temporary files
// of failed pulls. It returns the number of bytes that it freed. Do not run it during a copy into
// the layout: the copy fails if Prune removes its blobs. The same copy then succeeds when it is
// repeated.
//
// Prune removes nothing if it cannot read a manifest of the layout, because it does not know what
// that manifest needs.
//
// Errors:
//   - [acr.ErrManifestMalformed] or [acr.ErrDigestMismatch] if a manifest cannot be read
//   - [errors.ErrUnsupported] if the layout is an archive
//   - *[fs.PathError] if a file cannot be removed
func (l *Layout) Prune(ctx context.Context) (freed int64, err error) {
	if err := l.bad(); err != nil {
		return 0, err
	}
	err = l.locked(ctx, func() error {
		freed, err = l.prune(ctx)
		return err
	})
	return freed, l.fail(err)
}

// prune removes what index.json does not reach. The lock is held.
func (l *Layout) prune(ctx context.Context) (freed int64, err error) {
	if err := l.reload(); err != nil {
		return 0, err
	}
	g, err := l.readGraph(ctx)
	if err != nil {
		return 0, err
	}
	if g.unread != nil {
		return 0, fmt.Errorf("nothing was removed: %w", g.unread)
	}
	for _, algorithm := range []digest.Algorithm{"", digest.SHA256, digest.SHA512} {
		n, err := l.pruneDirectory(ctx, algorithm, g.reached)
		if freed += n; err != nil {
			return freed, err
		}
	}
	return freed, nil
}

// pruneDirectory prunes the blobs of an algorithm; without one, the directory of index.json.
func (l *Layout) pruneDirectory(ctx context.Context, algorithm digest.Algorithm, reached map[digest.Digest]bool) (freed int64, err error) {
	dir := "."
	if algorithm != "" {
		dir = path.Join(ocispec.ImageBlobsDir, algorithm.String())
	}
	if err := l.dir.plainPath(dir); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	f, err := l.dir.root.Open(dir)
	if err != nil {
		return 0, err
	}
	files, err := f.ReadDir(-1)
	_ = f.Close() // it was only read
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		if ctx.Err() != nil {
			return freed, context.Cause(ctx)
		}
		d := digest.NewDigestFromEncoded(algorithm, file.Name())
		switch {
		case checkDigest(d) == nil && !reached[d]:
		case isLeftover(file.Name()):
		default:
			continue // it is needed, or somebody else's
		}
		info, err := file.Info()
		if err == nil && info.Mode().IsRegular() {
			err = l.dir.root.Remove(path.Join(dir, file.Name()))
		} else if err == nil {
			continue
		}
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return freed, err
		}
		freed += info.Size()
	}
	return freed, nil
}

// isManifest tells whether content of the media type is a manifest that this package can read.
func isManifest(mediaType string) bool { return graph.KindOf(mediaType) != graph.KindUnknown }

// isLeftover tells whether a file is one that a broken pull leaves beside the blobs.
func isLeftover(name string) bool {
	return strings.HasPrefix(name, tempPrefix) ||
		strings.HasPrefix(name, ".") && (strings.HasSuffix(name, ".partial") || strings.HasSuffix(name, ".partial.json"))
}
