package acr_test

import (
	"context"
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

// calls is the table.
var calls = slices.Concat(clientCalls, repositoryCalls, artifactCalls, uploadCalls, downloadCalls)

// silent lists the exported methods that send nothing.
var silent = []string{
	"Client.CloseIdleConnections", "Client.Endpoint", "Client.GoString", "Client.LogValue", "Client.String", "Client.Repository", "Client.PinAddress",
	"Repository.Client", "Repository.Name", "Repository.Artifact", "Artifact.Reference",
	"BlobWriter.Checkpoint", "BlobWriter.Close", "BlobWriter.Offset", "BlobReader.Close", "BlobReader.Descriptor", "BlobReaderAt.Size",
	"BlobWriter.String", "BlobWriter.GoString", "BlobReader.String", "BlobReader.GoString", "BlobReaderAt.String", "BlobReaderAt.GoString",
	"BlobWriter.Format", "BlobReader.Format", "BlobReaderAt.Format", "Client.Format", "Repository.Format", "Repository.String", "Repository.GoString",
}

// within lists the methods whose requests a call of another name makes.
var within = map[string]string{"BlobReader.Read": "Repository.GetBlob", "BlobReaderAt.ReadAt": "Repository.BlobReaderAt",
	"Repository.WaitForTag": "Repository.HeadManifest"} // which it repeats for ten minutes while the answer is 404: TestWaitForTag

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
				t.Errorf("%s is not in the table of calls: add a row to clientCalls, repositoryCalls, artifactCalls, uploadCalls or downloadCalls "+
					"(suite_calls_*_test.go); if it sends nothing, to silent", name)
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
			t.Errorf("no method sends %s: write one in the file of its noun in facade/acr, and a row of it in the table of calls (suite_calls_*_test.go)", id)
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
				f.srv.Ledger().NoCredentialLeaked(t)
			})
		})
	}
}
