package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"mime"
	"slices"
	"strings"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/graph"
)

// Artifact is a set of files with a type, such as a chart, a model, an SBOM or a signature. Pack
// stores it as a manifest with a blob for each file.
type Artifact struct {
	Type        string              // artifactType, a media type such as "application/vnd.example.sbom.v1+json"; required
	Files       []File              // the files, in this order
	Directory   fs.FS               // its regular files follow Files, in the order of their paths; see os.DirFS
	Subject     *ocispec.Descriptor // the manifest that the artifact belongs to; see Attach
	Annotations map[string]string   // annotations of the manifest; Pack adds none, so the same files have the same digest
}

// File is a file of an artifact.
type File struct {
	Name        string            // the annotation org.opencontainers.image.title: a path with slashes
	Content     io.Reader         // an io.Seeker, such as an *os.File, can be sent again if a connection is lost
	MediaType   string            // default: application/octet-stream
	Annotations map[string]string // annotations of the layer, except the title
	Size        int64             // set by Files; Pack does not need it
}

const packAtOnce = 8 // files that are uploaded at a time

// Pack uploads files as an artifact: a blob for each file, and an OCI 1.1 manifest with an empty
// config that lists them. If tag is empty, the artifact has no tag. It costs one request per small
// file, a few per large one, and two for config and manifest.
//
// Errors:
//   - [acr.ErrInvalidArgument] if the tag or the name of the repository is invalid, the type is not
//     a media type, a file has no content, or the name of a file occurs twice or is not a relative
//     path; the path must have no backslash and no drive letter
//   - the error of a file if reading it fails
//   - the errors of [acr.Repository.UploadBlob] or [acr.Repository.PutManifest] if the registry
//     does not accept a blob or the manifest
func Pack(ctx context.Context, to *acr.Repository, tag string, a *Artifact) (ocispec.Descriptor, error) {
	if err := checkRepository(to); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("images: pack: %w", err)
	}
	p, err := newPack(a)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("images: pack %s: %w", to.Name(), err)
	}
	if err := Of(to).checkTag(tag); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("images: pack %s: %w", to.Name(), err)
	}
	ctx, release := to.Client().PinAddress(ctx)
	defer release()
	err = each(ctx, packAtOnce, p.files, func(ctx context.Context, f *packedFile) error { return f.upload(ctx, to) })
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("images: pack %s: %w", to.Name(), err)
	}
	empty := ocispec.DescriptorEmptyJSON
	if _, err := to.UploadBlob(ctx, bytes.NewReader(empty.Data), &acr.UploadOptions{Digest: empty.Digest}); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("images: pack %s: %w", to.Name(), err)
	}
	content, err := p.manifest(a)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("images: pack %s: %w", to.Name(), err)
	}
	d, err := to.PutManifest(ctx, tag, content, &acr.PutManifestOptions{BlobWait: blobWait})
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("images: pack %s: %w", to.Name(), err)
	}
	d.ArtifactType = a.Type
	return d, nil
}

// Attach packs an artifact, such as a signature, an SBOM or a scan report, as a referrer of an
// image. reference is a tag or digest of the image. The artifact has no tag. It costs the requests
// of Pack and one more.
//
// Errors:
//   - [acr.ErrManifestUnknown] if there is no such image
//   - the errors of [Pack] if packing fails
func Attach(ctx context.Context, to *acr.Repository, reference string, a *Artifact) (ocispec.Descriptor, error) {
	if err := checkRepository(to); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("images: attach: %w", err)
	}
	if a == nil {
		return ocispec.Descriptor{}, fmt.Errorf("images: attach to %s: %w", to.Name(), refuse("artifact", "it is nil"))
	}
	ctx, release := to.Client().PinAddress(ctx)
	defer release()
	subject, err := to.HeadManifest(ctx, reference)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("images: attach to %s: %w", to.Name(), err)
	}
	attached := *a
	attached.Subject = &subject
	return Pack(ctx, to, "", &attached)
}

// pack is an artifact on its way.
type pack struct{ files []*packedFile }

// packedFile is one file of it.
type packedFile struct {
	File

	from fs.FS // nil: File.Content has it
	desc ocispec.Descriptor
}

// newPack checks what can be known before anything is sent.
func newPack(a *Artifact) (*pack, error) {
	if a == nil {
		return nil, refuse("artifact", "it is nil")
	}
	if t, _, err := mime.ParseMediaType(a.Type); err != nil || t != a.Type || !strings.Contains(t, "/") {
		return nil, &acr.ArgumentError{Argument: "Artifact.Type", Value: a.Type, Reason: "it is not a media type, such as application/vnd.example.model"}
	}
	p := &pack{}
	for _, f := range a.Files {
		if isNil(f.Content) {
			return nil, &acr.ArgumentError{Argument: "File.Content", Value: f.Name, Reason: "the file has no content"}
		}
		p.files = append(p.files, &packedFile{File: f})
	}
	if a.Directory != nil && isNil(a.Directory) {
		return nil, refuse("Artifact.Directory", "it is a nil pointer")
	}
	if a.Directory != nil {
		err := fs.WalkDir(a.Directory, ".", func(name string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				p.files = append(p.files, &packedFile{File: File{Name: name}, from: a.Directory})
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("the files of Artifact.Directory: %w", err)
		}
	}
	names := map[string]bool{}
	for _, f := range p.files {
		reason := wrongFileName(f.Name)
		if names[f.Name] {
			reason = "it occurs twice"
		}
		if reason != "" {
			return nil, &acr.ArgumentError{Argument: "File.Name", Value: f.Name, Reason: reason}
		}
		names[f.Name] = true
	}
	return p, nil
}

// wrongFileName says why a name is not one of a file below a directory; otherwise it is "". The artifact may be unpacked on another
// system, so what only Windows treats as another directory is refused everywhere.
func wrongFileName(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case !fs.ValidPath(name) || name == ".":
		return "it must be a relative path such as a/b.txt, without elements that are empty, '.' or '..'"
	case len(name) > 1 && name[1] == ':' && strings.Contains("abcdefghijklmnopqrstuvwxyz", strings.ToLower(name[:1])):
		return "it begins with a drive letter"
	case strings.ContainsAny(name, "\\\x00"):
		return "it must contain neither a backslash nor a zero byte"
	}
	return ""
}

// upload uploads the file.
func (f *packedFile) upload(ctx context.Context, to *acr.Repository) (err error) {
	content := f.Content
	if f.from != nil {
		file, err := f.from.Open(f.Name)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // it was only read
		content = file
	}
	if f.desc, err = to.UploadBlob(ctx, content, &acr.UploadOptions{MediaType: f.MediaType}); err != nil {
		return fmt.Errorf("file %q: %w", shown(f.Name), err)
	}
	f.desc.Annotations = maps.Clone(f.Annotations)
	if f.desc.Annotations == nil {
		f.desc.Annotations = map[string]string{}
	}
	f.desc.Annotations[ocispec.AnnotationTitle] = f.Name
	return nil
}

// manifest writes the manifest.
func (p *pack) manifest(a *Artifact) ([]byte, error) {
	empty := ocispec.DescriptorEmptyJSON
	empty.Data = nil
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: a.Type,
		Config: empty, Layers: []ocispec.Descriptor{}, Annotations: a.Annotations,
	}
	for _, f := range p.files {
		m.Layers = append(m.Layers, f.desc)
	}
	if len(m.Layers) == 0 {
		m.Layers = append(m.Layers, empty) // OCI 1.1 asks for one
	}
	if a.Subject != nil {
		subject := ocispec.Descriptor{MediaType: a.Subject.MediaType, Digest: a.Subject.Digest, Size: a.Subject.Size}
		m.Subject = &subject
	}
	return json.Marshal(m)
}

// Files ranges over the files of an artifact: the layers that have a title. The Content of a file
// is valid until the next iteration. Its Read returns io.EOF only if size and digest are right. The
// Name comes from the manifest and may be "../x" or "/etc/passwd", so write files through an
// os.Root only. It costs one request for the manifest and two per file that is read.
//
// Files skips layers without a title. The layers of an image, a chart or a signature have none, so
// for these it yields nothing.
//
// Errors, as the last pair with a nil *File:
//   - [ErrAmbiguous] if the reference points to an index
//   - an error of [Copy] if the source cannot be read
func Files(ctx context.Context, from Source, reference string) iter.Seq2[*File, error] {
	return func(yield func(*File, error) bool) {
		j, err := newJob(from, reference, nowhere{}, "", nil)
		if err != nil {
			yield(nil, err)
			return
		}
		ctx, release := pin(ctx, from, nil)
		defer release()
		root, err := j.resolve(ctx)
		if err != nil {
			yield(nil, j.faultName(FromSource, "reference", reference, err))
			return
		}
		content, err := j.fetch(ctx, root)
		if err != nil {
			yield(nil, err)
			return
		}
		body, err := graph.Read(root.MediaType, content)
		if err != nil {
			yield(nil, j.fault(FromSource, "manifest", root, malformed(err)))
			return
		}
		if body.Kind == graph.KindIndex {
			yield(nil, j.fault(FromSource, "index", root, fmt.Errorf("%w: an index has no files: give the digest of one of its manifests", ErrAmbiguous)))
			return
		}
		for _, layer := range body.Layers {
			if layer.Annotations[ocispec.AnnotationTitle] != "" && !j.yieldFile(ctx, layer, yield) {
				return
			}
		}
	}
}

// yieldFile hands on one file and closes it.
func (j *job) yieldFile(ctx context.Context, d ocispec.Descriptor, yield func(*File, error) bool) bool {
	src := j.open(ctx, &blobNode{descriptor: d, role: "layer"})
	annotations := maps.Clone(d.Annotations)
	delete(annotations, ocispec.AnnotationTitle)
	r := &verifyingReader{r: src, verifier: d.Digest.Verifier(), left: d.Size, digest: d.Digest}
	more := yield(&File{Name: d.Annotations[ocispec.AnnotationTitle], Content: r, MediaType: d.MediaType, Annotations: annotations, Size: d.Size}, nil)
	_ = src.Close() // it was only read
	return more
}

// nowhere is the target of what only reads.
type nowhere struct{}

var errNowhere = errors.New("nothing is written")

func (nowhere) Fetch(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
	return nil, errNowhere
}
func (nowhere) Exists(context.Context, ocispec.Descriptor) (bool, error)  { return false, nil }
func (nowhere) Push(context.Context, ocispec.Descriptor, io.Reader) error { return errNowhere }
func (nowhere) Tag(context.Context, ocispec.Descriptor, string) error     { return errNowhere }
func (nowhere) Resolve(context.Context, string) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, notFound("nothing is there")
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
