package acr_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/contract"
)

// kind sorts the calls.
type kind string

const (
	loginCall    kind = "login"
	listCall     kind = "list"
	readCall     kind = "read"
	writeCall    kind = "write"
	deleteCall   kind = "delete"
	uploadCall   kind = "upload"
	downloadCall kind = "download"
	examineCall  kind = "examine" // Doctor, which tries nothing twice
)

// call is one way into the library: what every suite ranges over.
type call struct {
	method string   // exported method, with its receiver and, where there are several ways to call it, what is special
	kind   kind     // what sort of operation
	op     string   // operationId of what it is about
	also   []string // of what else it may send, token requests apart
	takes  string   // of "name", "tag", "digest", "from": the arguments that come to stand in a path or query

	prepare func(f *fixture) error // by a client that is not under attack
	run     func(ctx context.Context, f *fixture) error
}

// ops is all that the call may send.
func (c *call) ops() []string { return append([]string{c.op}, c.also...) }

func (c *call) has(argument string) bool { return slices.Contains(strings.Fields(c.takes), argument) }

// callsOf are the calls of the given kinds; of all when none is given.
func callsOf(kinds ...kind) []call {
	var out []call
	for _, c := range calls {
		if len(kinds) == 0 || slices.Contains(kinds, c.kind) {
			out = append(out, c)
		}
	}
	return out
}

// steadyCalls are those that are expected to get over a fault that passes.
func steadyCalls() []call {
	return slices.DeleteFunc(callsOf(), func(c call) bool { return c.kind == examineCall })
}

// callNamed is one call of the table.
func callNamed(t testing.TB, method string) call {
	t.Helper()
	i := slices.IndexFunc(calls, func(c call) bool { return c.method == method })
	if i < 0 {
		t.Fatalf("there is no call %s", method)
	}
	return calls[i]
}

// some demands that a list is not empty.
func some[T any](seq iter.Seq2[T, error]) error {
	all, err := acr.Collect(seq)
	if err == nil && len(all) == 0 {
		return errors.New("the list is empty")
	}
	return err
}

// same demands that the content is the expected one.
func same(got, want []byte, err error) error {
	if err == nil && !bytes.Equal(got, want) {
		return fmt.Errorf("got %d bytes that are not the %d expected", len(got), len(want))
	}
	return err
}

var lock = acr.ChangeableAttributes{DeleteEnabled: new(true)}

// uploadOps is what an upload may send.
var uploadOps = []string{"UploadChunk", "CompleteUpload", "GetUploadStatus", "CancelUpload", "HeadBlob"}

// stream hides that a reader could be read again.
type stream struct{ io.Reader }

// begin leaves an upload behind of which the first part is sent.
func begin(f *fixture) error {
	w, err := f.repository().StartUpload(f.ctx, &acr.UploadOptions{ChunkSize: 1024})
	if err != nil {
		return err
	}
	if _, err = w.Write(f.begun[:2048]); err != nil {
		return err
	}
	for { // what is written is sent while the caller goes on
		cp, err := w.Checkpoint()
		if err != nil {
			return err
		}
		if f.checkpoint = cp; cp.Offset >= 1024 {
			return w.Close()
		}
		if _, err := w.Write(nil); err != nil {
			return err
		}
	}
}

// writer uploads the content with the writer that open gives.
func writer(f *fixture, w *acr.BlobWriter, err error, content []byte, use func(w *acr.BlobWriter, content []byte) error) error {
	if err != nil {
		return err
	}
	defer func() { _ = w.Cancel() }() // after Commit it does nothing
	secrets.lookValue("a BlobWriter", w)
	if err := use(w, content[w.Offset():]); err != nil {
		return err
	}
	desc, err := w.Commit()
	if err == nil && desc.Size != int64(len(content)) {
		err = fmt.Errorf("uploaded %d bytes of %d", desc.Size, len(content))
	}
	if err == nil && !f.srv.HasBlob(f.name, desc.Digest) {
		err = errors.New("the registry does not have the blob")
	}
	return err
}

func byWrite(w *acr.BlobWriter, content []byte) error {
	_, err := w.Write(content)
	return err
}

func byReadFrom(w *acr.BlobWriter, content []byte) error {
	_, err := w.ReadFrom(stream{bytes.NewReader(content)})
	return err
}

var chunked = &acr.UploadOptions{ChunkSize: 1024}

// calls is the table.
var calls = []call{
	{method: "Client.Ping", kind: loginCall, op: "CheckSupport", run: func(ctx context.Context, f *fixture) error { return f.client.Ping(ctx) }},
	{method: "Client.Login", kind: loginCall, op: "ExchangeEntraToken", run: func(ctx context.Context, f *fixture) error {
		l, err := f.client.Login(ctx)
		secrets.lookValue("a Login", l)
		return err
	}},
	{method: "Client.Doctor", kind: examineCall, op: "CheckSupport", also: []string{"ListRepositories", "ListTagNames", "GetManifest", "HeadManifest", "GetBlob", "StartUpload", "CancelUpload"},
		takes: "name tag",
		run: func(ctx context.Context, f *fixture) error {
			report, err := f.client.Doctor(ctx, &acr.DoctorOptions{Repository: f.name, Reference: f.tag, TryPush: true})
			if err != nil {
				return err
			}
			secrets.lookValue("a DoctorReport", report)
			raw, err := report.MarshalJSON()
			secrets.lookHard("a DoctorReport as JSON", string(raw))
			return errors.Join(err, report.Err())
		}},

	{method: "Client.Repositories", kind: listCall, op: "ListRepositories", run: func(ctx context.Context, f *fixture) error { return some(f.client.Repositories(ctx, nil)) }},
	{method: "Client.RepositoryNames", kind: listCall, op: "ListRepositoryNames", run: func(ctx context.Context, f *fixture) error { return some(f.client.RepositoryNames(ctx, nil)) }},
	{method: "Client.DeletedRepositories", kind: listCall, op: "ListDeletedRepositories", prepare: throwAway, run: func(ctx context.Context, f *fixture) error {
		return some(f.client.DeletedRepositories(ctx, nil))
	}},
	{method: "Repository.Tags", kind: listCall, op: "ListTags", takes: "name", run: func(ctx context.Context, f *fixture) error { return some(f.repository().Tags(ctx, nil)) }},
	{method: "Repository.TagNames", kind: listCall, op: "ListTagNames", takes: "name", run: func(ctx context.Context, f *fixture) error { return some(f.repository().TagNames(ctx, nil)) }},
	{method: "Repository.Manifests", kind: listCall, op: "ListManifests", takes: "name", run: func(ctx context.Context, f *fixture) error { return some(f.repository().Manifests(ctx, nil)) }},
	{method: "Repository.Referrers", kind: listCall, op: "ListReferrers", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		return some(f.repository().Referrers(ctx, f.image, nil))
	}},
	{method: "Repository.DeletedManifests", kind: listCall, op: "ListDeletedManifests", takes: "name", prepare: throwAway, run: func(ctx context.Context, f *fixture) error {
		return some(f.repository().DeletedManifests(ctx, nil))
	}},
	{method: "Repository.DeletedTags", kind: listCall, op: "ListDeletedTags", takes: "name", prepare: throwAway, run: func(ctx context.Context, f *fixture) error {
		return some(f.repository().DeletedTags(ctx, nil))
	}},
	{method: "Artifact.Tags", kind: listCall, op: "ListTags", also: []string{"GetTagProperties"}, takes: "name tag", run: func(ctx context.Context, f *fixture) error { return some(f.artifact().Tags(ctx)) }},

	{method: "Repository.Properties", kind: readCall, op: "GetRepositoryProperties", takes: "name", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().Properties(ctx)
		return err
	}},
	{method: "Artifact.TagProperties", kind: readCall, op: "GetTagProperties", takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.artifact().TagProperties(ctx)
		return err
	}},
	{method: "Artifact.ManifestProperties", kind: readCall, op: "GetManifestProperties", also: []string{"GetTagProperties"}, takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.artifact().ManifestProperties(ctx)
		return err
	}},
	{method: "Artifact.Digest", kind: readCall, op: "GetTagProperties", takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.artifact().Digest(ctx)
		return err
	}},
	{method: "Repository.HeadManifest", kind: readCall, op: "HeadManifest", takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().HeadManifest(ctx, f.tag)
		return err
	}},
	{method: "Repository.GetManifest", kind: readCall, op: "GetManifest", takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().GetManifest(ctx, f.tag)
		return err
	}},
	{method: "Repository.StatBlob", kind: readCall, op: "HeadBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().StatBlob(ctx, f.blob)
		return err
	}},

	{method: "Repository.UpdateAttributes", kind: writeCall, op: "UpdateRepositoryAttributes", takes: "name", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().UpdateAttributes(ctx, lock)
		return err
	}},
	{method: "Artifact.UpdateTagAttributes", kind: writeCall, op: "UpdateTagAttributes", takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.artifact().UpdateTagAttributes(ctx, lock)
		return err
	}},
	{method: "Artifact.UpdateManifestAttributes", kind: writeCall, op: "UpdateManifestAttributes", also: []string{"GetTagProperties"}, takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.artifact().UpdateManifestAttributes(ctx, lock)
		return err
	}},
	{method: "Repository.PutManifest", kind: writeCall, op: "PutManifest", also: []string{"HeadManifest"}, takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().PutManifest(ctx, f.tag, f.manifest, nil)
		return err
	}},
	{method: "Repository.Tag", kind: writeCall, op: "PutManifest", also: []string{"GetManifest", "HeadManifest"}, takes: "name tag", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().Tag(ctx, f.tag, "again", nil)
		return err
	}},
	{method: "Repository.RestoreManifest", kind: writeCall, op: "RestoreManifest", takes: "name digest", prepare: throwAway, run: func(ctx context.Context, f *fixture) error {
		return f.repository().RestoreManifest(ctx, f.deleted, nil)
	}},

	{method: "Repository.Delete", kind: deleteCall, op: "DeleteRepository", takes: "name", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().Delete(ctx)
		return err
	}},
	{method: "Repository.DeleteManifest", kind: deleteCall, op: "DeleteManifest", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		return f.repository().DeleteManifest(ctx, f.image)
	}},
	{method: "Repository.DeleteBlob", kind: deleteCall, op: "DeleteBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		return f.repository().DeleteBlob(ctx, f.loose)
	}},
	{method: "Artifact.Delete", kind: deleteCall, op: "DeleteManifest", also: []string{"GetTagProperties"}, takes: "name tag", run: func(ctx context.Context, f *fixture) error { return f.artifact().Delete(ctx) }},
	{method: "Artifact.DeleteTag", kind: deleteCall, op: "DeleteTag", takes: "name tag", run: func(ctx context.Context, f *fixture) error { return f.artifact().DeleteTag(ctx) }},

	{method: "Repository.UploadBlob", kind: uploadCall, op: "StartUpload", also: uploadOps, takes: "name", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().UploadBlob(ctx, bytes.NewReader(f.begun), nil)
		return err
	}},
	{method: "Repository.UploadBlob in chunks", kind: uploadCall, op: "StartUpload", also: uploadOps, takes: "name", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().UploadBlob(ctx, stream{bytes.NewReader(f.begun)}, chunked)
		return err
	}},
	{method: "Repository.StartUpload", kind: uploadCall, op: "StartUpload", also: uploadOps, takes: "name", run: func(ctx context.Context, f *fixture) error {
		w, err := f.repository().StartUpload(ctx, chunked)
		if err != nil {
			return err
		}
		return w.Cancel()
	}},
	{method: "Repository.ResumeUpload", kind: uploadCall, op: "GetUploadStatus", also: uploadOps, takes: "name", prepare: begin, run: func(ctx context.Context, f *fixture) error {
		w, err := f.repository().ResumeUpload(ctx, f.checkpoint, chunked)
		return writer(f, w, err, f.begun, byWrite)
	}},
	{method: "BlobWriter.Write", kind: uploadCall, op: "UploadChunk", also: append([]string{"StartUpload"}, uploadOps...), takes: "name", run: func(ctx context.Context, f *fixture) error {
		w, err := f.repository().StartUpload(ctx, chunked)
		return writer(f, w, err, f.begun, byWrite)
	}},
	{method: "BlobWriter.ReadFrom", kind: uploadCall, op: "UploadChunk", also: append([]string{"StartUpload"}, uploadOps...), takes: "name", run: func(ctx context.Context, f *fixture) error {
		w, err := f.repository().StartUpload(ctx, chunked)
		return writer(f, w, err, f.begun, byReadFrom)
	}},
	{method: "BlobWriter.Commit", kind: uploadCall, op: "CompleteUpload", also: append([]string{"StartUpload"}, uploadOps...), takes: "name", run: func(ctx context.Context, f *fixture) error {
		w, err := f.repository().StartUpload(ctx, nil)
		return writer(f, w, err, f.begun, byWrite)
	}},
	{method: "BlobWriter.Cancel", kind: uploadCall, op: "CancelUpload", also: append([]string{"StartUpload"}, uploadOps...), takes: "name", run: func(ctx context.Context, f *fixture) error {
		w, err := f.repository().StartUpload(ctx, chunked)
		if err != nil {
			return err
		}
		if err := byWrite(w, f.begun); err != nil {
			return errors.Join(err, w.Close())
		}
		return w.Cancel()
	}},
	{method: "Repository.MountBlob", kind: uploadCall, op: "StartUpload", also: []string{"HeadBlob", "CancelUpload"}, takes: "name from digest", run: func(ctx context.Context, f *fixture) error {
		_, err := f.repository().MountBlob(ctx, f.fresh, f.source)
		return err
	}},

	{method: "Repository.GetBlob", kind: downloadCall, op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		r, err := f.repository().GetBlob(ctx, f.blob, nil)
		if err != nil {
			return err
		}
		defer r.Close()
		secrets.lookValue("a BlobReader", r)
		got, err := io.ReadAll(r)
		return same(got, f.content, err)
	}},
	{method: "BlobReader.WriteTo", kind: downloadCall, op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		r, err := f.repository().GetBlob(ctx, f.blob, nil)
		if err != nil {
			return err
		}
		defer r.Close()
		var got bytes.Buffer
		_, err = r.WriteTo(&got)
		return same(got.Bytes(), f.content, err)
	}},
	{method: "Repository.GetBlobRange", kind: downloadCall, op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		r, err := f.repository().GetBlobRange(ctx, f.blob, 100, 1000)
		if err != nil {
			return err
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		return same(got, f.content[100:1100], err)
	}},
	{method: "Repository.BlobReaderAt", kind: downloadCall, op: "GetBlob", also: []string{"HeadBlob"}, takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		r, err := f.repository().BlobReaderAt(ctx, f.blob)
		if err != nil {
			return err
		}
		got := make([]byte, 500)
		_, err = r.ReadAt(got, 200)
		secrets.lookValue("a BlobReaderAt", r)
		return same(got, f.content[200:700], err)
	}},
	{method: "Repository.DownloadBlob", kind: downloadCall, op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		var got inMemory
		_, err := f.repository().DownloadBlob(ctx, f.blob, &got, nil)
		return same(got.b, f.content, err)
	}},
	{method: "Repository.DownloadBlobFile", kind: downloadCall, op: "GetBlob", takes: "name digest", run: func(ctx context.Context, f *fixture) error {
		path := filepath.Join(f.t.TempDir(), "blob")
		if _, err := f.repository().DownloadBlobFile(ctx, f.blob, path, &acr.DownloadOptions{NoSync: true}); err != nil {
			return err
		}
		got, err := os.ReadFile(path)
		return same(got, f.content, err)
	}},
}

// throwAway puts an image into the recycle bin, and a whole repository too.
func throwAway(f *fixture) error {
	f.deleted = f.srv.SeedImage(f.t, f.name+":gone")
	f.srv.SeedImage(f.t, f.name+"/gone:v1")
	if _, err := f.client.Repository(f.name + "/gone").Delete(f.ctx); err != nil {
		return err
	}
	return f.repository().DeleteManifest(f.ctx, f.deleted)
}

// inMemory is an io.WriterAt.
type inMemory struct{ b []byte }

// WriteAt implements io.WriterAt; DownloadBlob calls it from one goroutine at a time for so small a blob.
func (m *inMemory) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(m.b) {
		m.b = append(m.b, make([]byte, need-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

// silent lists the exported methods that send nothing.
var silent = []string{
	"Client.CloseIdleConnections", "Client.Endpoint", "Client.GoString", "Client.LogValue", "Client.String", "Client.Repository",
	"Repository.Name", "Repository.Artifact", "Artifact.Reference",
	"BlobWriter.Checkpoint", "BlobWriter.Close", "BlobWriter.Offset", "BlobReader.Close", "BlobReader.Descriptor", "BlobReaderAt.Size",
	"BlobWriter.String", "BlobWriter.GoString", "BlobReader.String", "BlobReader.GoString", "BlobReaderAt.String", "BlobReaderAt.GoString",
}

// within lists the methods whose requests a call of another name makes.
var within = map[string]string{"BlobReader.Read": "Repository.GetBlob", "BlobReaderAt.ReadAt": "Repository.BlobReaderAt",
	"Repository.WaitForTag": "Repository.HeadManifest"} // which it repeats while the answer is 404, for as long as its context lasts: TestWaitForTag

// TestCallsAreComplete compares the table with the package and with the document, and makes each call.
func TestCallsAreComplete(t *testing.T) {
	t.Parallel()
	inTable := map[string]bool{}
	for _, c := range calls {
		method, _, _ := strings.Cut(c.method, " ")
		inTable[method] = true
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[*acr.Client](), reflect.TypeFor[*acr.Repository](), reflect.TypeFor[*acr.Artifact](),
		reflect.TypeFor[*acr.BlobWriter](), reflect.TypeFor[*acr.BlobReader](), reflect.TypeFor[*acr.BlobReaderAt](),
	} {
		for m := range typ.Methods() {
			name := typ.Elem().Name() + "." + m.Name
			if !inTable[name] && !slices.Contains(silent, name) && !inTable[within[name]] {
				t.Errorf("%s is not in the table of calls", name)
			}
		}
	}
	ids, err := contract.Operations()
	if err != nil {
		t.Fatal(err)
	}
	about := slices.Clone(tokenOperations) // sent with all of them
	for _, c := range calls {
		about = append(about, c.ops()...)
	}
	for _, id := range ids {
		if !slices.Contains(about, id) {
			t.Errorf("no call is about %s", id)
		}
	}
	for _, by := range bothWays {
		t.Run(string(by), func(t *testing.T) {
			t.Parallel()
			newWorldBy(t, by).over(callsOf(), func(f *fixture) {
				f.mustWork(f.run())
				if n := f.srv.Ledger().Count(f.call.op); n == 0 {
					f.errorf("sends no %s", f.call.op)
				}
				for _, r := range f.srv.Ledger().Requests() {
					if r.Origin == "login" && !slices.Contains(append(f.call.ops(), tokenOperations...), r.Operation) {
						f.errorf("sends %s, which the table does not say", r.Operation)
					}
				}
				f.srv.Ledger().NoCredentialLeft(t)
			})
		})
	}
}
