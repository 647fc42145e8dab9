package acrsuite_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/internal/contract"
)

// silent lists the exported methods that send nothing.
var silent = []string{
	"Client.CloseIdleConnections", "Client.Endpoint", "Client.LogValue", "Client.String", "Client.Repository", "Client.PinAddress",
	"Client.PinReads", "Repository.ForPush",
	"Repository.Client", "Repository.Name", "Repository.Artifact", "Artifact.Reference", "Artifact.Name", "Repository.Conversion",
	"Conversion.ID", "Conversion.String", "Conversion.Format",
	"BlobWriter.Checkpoint", "BlobWriter.Close", "BlobWriter.Offset", "BlobReader.Close", "BlobReader.Descriptor", "BlobReaderAt.Size",
	"BlobWriter.String", "BlobReader.String", "BlobReaderAt.String",
	"BlobWriter.Format", "BlobReader.Format", "BlobReaderAt.Format", "Client.Format", "Repository.Format", "Repository.String",
}

// within lists the methods whose requests a call of another name makes.
var within = map[string]string{"BlobReader.Read": "Repository.GetBlob", "BlobReaderAt.ReadAt": "Repository.BlobReaderAt",
	"Repository.WaitForTag": "Repository.HeadManifest", "Conversion.Wait": "Conversion.Poll"}

// handles returns typ, and all types of package acr whose methods send requests and that methods of
// typ lead to.
func handles(typ reflect.Type, found []reflect.Type) []reflect.Type {
	if typ.Kind() != reflect.Pointer || typ.Elem().PkgPath() != reflect.TypeFor[acr.Client]().PkgPath() || slices.Contains(found, typ) || !sends(typ) {
		return found
	}
	found = append(found, typ)
	for m := range typ.Methods() {
		for result := range m.Type.Outs() {
			found = handles(result, found)
		}
	}
	return found
}

// sends reports whether a type has methods that may send requests: with a context, or of a reader or
// writer.
func sends(typ reflect.Type) bool {
	for m := range typ.Methods() {
		if m.Name == "Read" || m.Name == "ReadAt" || m.Name == "Write" || slices.Contains(slices.Collect(m.Type.Ins()), reflect.TypeFor[context.Context]()) {
			return true
		}
	}
	return false
}

// TestHandles sees that new types are found.
func TestHandles(t *testing.T) {
	t.Parallel()
	found := handles(reflect.TypeFor[*acr.Client](), nil)
	for _, want := range []reflect.Type{
		reflect.TypeFor[*acr.Repository](), reflect.TypeFor[*acr.Artifact](), reflect.TypeFor[*acr.BlobWriter](),
		reflect.TypeFor[*acr.BlobReader](), reflect.TypeFor[*acr.BlobReaderAt](), reflect.TypeFor[*acr.Conversion](),
	} {
		if !slices.Contains(found, want) {
			t.Errorf("%v is not found: its methods would miss in the table of calls", want)
		}
	}
}

// TestCallsAreComplete compares the table with the package and with the document, and makes each call.
func TestCallsAreComplete(t *testing.T) {
	t.Parallel()
	inTable := map[string]bool{}
	for _, c := range acrsuite.Calls {
		method, _, _ := strings.Cut(c.Method, " ")
		inTable[method] = true
	}
	for _, typ := range handles(reflect.TypeFor[*acr.Client](), nil) {
		for m := range typ.Methods() {
			name := typ.Elem().Name() + "." + m.Name
			if !inTable[name] && !slices.Contains(silent, name) && !inTable[within[name]] {
				t.Errorf("%s is not in the table of calls: add a row to clientCalls, repositoryCalls, artifactCalls, uploadCalls or downloadCalls "+
					"(calls_*.go); if it sends nothing, to silent", name)
			}
		}
	}
	ids, err := contract.Operations()
	if err != nil {
		t.Fatal(err)
	}
	about := slices.Clone(acrsuite.TokenOperations) // sent with all of them
	for _, c := range acrsuite.Calls {
		about = append(about, c.Ops()...)
	}
	for _, id := range ids {
		if !slices.Contains(about, id) {
			t.Errorf("no method sends %s: write one in the file of its noun in facade/acr, and a row of it in the table of calls (calls_*.go)", id)
		}
	}
	for _, by := range acrsuite.BothWays {
		t.Run(string(by), func(t *testing.T) {
			t.Parallel()
			w := acrsuite.NewWorldBy(t, by)
			for _, c := range acrsuite.CallsOf() {
				f := w.Fixture(c)
				f.MustWork(f.Run())
				if len(f.Sent(f.Call.Op)) == 0 {
					f.Errorf("sends no %s", f.Call.Op)
				}
				for _, r := range f.Sent() {
					if r.Origin == "login" && !slices.Contains(append(f.Call.Ops(), acrsuite.TokenOperations...), r.Operation) {
						f.Errorf("sends %s, which the table does not say", r.Operation)
					}
				}
				f.Srv.Ledger().NoCredentialLeaked(t)
			}
		})
	}
}

// TestSent: what an earlier fixture sends late counts for none of the later ones.
func TestSent(t *testing.T) {
	t.Parallel()
	w := acrsuite.NewWorld(t)
	earlier := w.Fixture(acrsuite.CallNamed(t, "Repository.HeadManifest"))
	later := w.Fixture(acrsuite.CallNamed(t, "Repository.MountBlob"))
	earlier.MustWork(earlier.Run())
	if late := later.Sent("HeadManifest"); len(late) > 0 {
		t.Errorf("a request of another fixture counts: %v", late)
	}
	later.MustWork(later.Run())
	if len(later.Sent()) == 0 || len(later.Sent("StartUpload")) != 1 || len(earlier.Sent("HeadManifest")) == 0 {
		t.Errorf("a fixture's own requests are missing: %v", w.Srv.Ledger().Requests())
	}
}
