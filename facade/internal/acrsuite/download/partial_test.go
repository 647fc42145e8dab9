package download_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestDownloadPartial: what a broken-off download leaves is used as far as it is good, whatever somebody does to it.
func TestDownloadPartial(t *testing.T) {
	t.Parallel()
	for _, tamper := range []string{"", "content", "state", "shorter", "longer", "link", "directory", "readable", "other digest", "no state", "second name", "empty and readable", "state is a pipe", "killed while it wrote the state"} {
		t.Run("tamper "+tamper, func(t *testing.T) {
			t.Parallel()
			acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToFile, acrsuite.ToFileInN}, func(d *acrsuite.Delivery) {
				d.Note = tamper
				d.Srv.On("GetBlobContent").When(func(r *http.Request) bool {
					from, to, _ := acrsuite.AskedRange(r)
					return d.Form.Ranges && to > 600_000 || !d.Form.Ranges && from == 0
				}).Nth(1).Truncate(500_000)
				d.Srv.On("GetBlobContent").When(func(r *http.Request) bool {
					from, to, _ := acrsuite.AskedRange(r)
					return from >= 400_000 || to > 700_000
				}).Always().Status(http.StatusNotFound)
				d.Failed(d.Fetch(), acr.ErrNotFound)
				if left := d.Partial(); len(left) != 2 {
					d.T.Fatalf("%q is left", left)
				}
				offset := d.Progress.Offset
				if offset < 100_000 {
					d.Errorf("only %d bytes are kept", offset)
				}
				tamperWith(d.TT, d.Dir, tamper)
				d.Srv.ClearFaults()
				d.Srv.Ledger().Reset()
				if err := d.Fetch(); err != nil {
					d.Errorf("%v", err)
					return
				}
				kept(d, tamper, offset)
			})
		})
	}
}

// TestDownloadPartialOfWrongBytes: what turned out to be wrong is not kept, though the second try failed for another reason.
func TestDownloadPartialOfWrongBytes(t *testing.T) {
	t.Parallel()
	acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToFile, acrsuite.ToFileInN}, func(d *acrsuite.Delivery) {
		for _, size := range []int{247, acrsuite.RangeSize} {
			d.Fill(size)
			first := d.Srv.On("GetBlobContent").Nth(1).FlipByte(7)
			d.Srv.On("GetBlob").Nth(2).Status(http.StatusNotFound)
			d.Failed(d.Fetch(), acr.ErrNotFound)
			if left := d.Partial(); first.Hits() != 1 || len(left) > 0 {
				d.Errorf("%q is kept", left)
			}
			d.Srv.ClearFaults()
			d.Arrives()
			if err := os.Remove(d.Path); err != nil {
				d.Errorf("%v", err)
			}
		}
	})
}

// TestDownloadPartialIsWhole: a process that was killed before it gave the file its name leaves nothing to fetch.
func TestDownloadPartialIsWhole(t *testing.T) {
	t.Parallel()
	for _, more := range []int{0, 1, 70_000} {
		acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToFile, acrsuite.ToFileInN}, func(d *acrsuite.Delivery) {
			partial := filepath.Join(d.Dir, ".layer."+d.Digest.Encoded()[:12]+".partial")
			state := fmt.Sprintf(`{"digest":%q,"size":%d,"offset":%d}`, d.Digest, len(d.Want)+more, len(d.Want)+more)
			if err := errors.Join(os.WriteFile(partial, append(bytes.Clone(d.Want), make([]byte, more)...), 0o600), os.WriteFile(partial+".json", []byte(state), 0o600)); err != nil {
				t.Fatal(err)
			}
			d.Arrives()
			if more == 0 {
				d.AtMost(0)
			} else if d.Progress.Restarts != 1 { // what is there is no beginning of the blob
				d.Errorf("%+v", d.Progress)
			}
		})
	}
}

// kept demands that the continued download is whole, and that no more was fetched than what somebody did asks for.
func kept(d *acrsuite.Delivery, tamper string, offset int64) {
	d.T.Helper()
	if !bytes.Equal(d.Got, d.Want) {
		d.Errorf("got %d bytes that are not the %d of the blob", len(d.Got), len(d.Want))
	}
	restarts := 0
	switch tamper {
	case "", "longer", "killed while it wrote the state":
		if missing := int64(len(d.Want)) - offset; d.Progress.Sent > missing+acrsuite.RangePart {
			d.Errorf("%d bytes came where %d were missing", d.Progress.Sent, missing)
		}
	case "content":
		restarts = 1
	default: // begins anew
		d.WastedAtMost(acrsuite.ConnectionSlack)
	}
	if d.Progress.Restarts != restarts {
		d.Errorf("%+v", d.Progress)
	}
	if slices.Contains([]string{"", "content", "state", "longer", "shorter", "no state", "other digest", "state is a pipe", "killed while it wrote the state"}, tamper) {
		acrsuite.Alone(d.TT, d.Dir, filepath.Base(d.Path))
	}
}

// tamperWith does to the partial file in the directory what somebody else might.
func tamperWith(t testing.TB, dir, how string) {
	t.Helper()
	partials, err := filepath.Glob(filepath.Join(dir, ".*.partial"))
	if err != nil || len(partials) != 1 {
		t.Fatalf("%q %v", partials, err)
	}
	partial := partials[0]
	state, err := os.ReadFile(partial + ".json")
	if err != nil {
		t.Fatal(err)
	}
	rewrite := func(pattern, by string) error {
		return os.WriteFile(partial+".json", regexp.MustCompile(pattern).ReplaceAll(state, []byte(by)), 0o600)
	}
	switch how {
	case "content":
		var f *os.File
		if f, err = os.OpenFile(partial, os.O_WRONLY, 0); err == nil {
			_, err = f.WriteAt([]byte("tampered"), 1000)
			err = errors.Join(err, f.Close())
		}
	case "state": // claims more than there is
		err = rewrite(`"offset":\d+`, `"offset":1000000`)
	case "no state":
		err = os.Remove(partial + ".json")
	case "other digest":
		err = rewrite(`sha256:....`, `sha256:0000`)
	case "shorter":
		err = os.Truncate(partial, 1000)
	case "longer":
		err = os.Truncate(partial, 200<<20)
	case "readable": // for all the world
		err = os.Chmod(partial, 0o644)
	case "second name": // by which somebody else may hold it open
		err = os.Link(partial, filepath.Join(t.TempDir(), "other"))
	case "empty and readable": // as where a file system has no modes
		err = errors.Join(os.Truncate(partial, 0), os.Chmod(partial, 0o644), os.Remove(partial+".json"))
	case "killed while it wrote the state":
		err = os.WriteFile(partial+".json.new", state[:10], 0o600)
	case "state is a pipe":
		err = errors.Join(os.Remove(partial+".json"), makePipe(partial+".json"))
	case "directory":
		err = errors.Join(os.Remove(partial), os.Mkdir(partial, 0o700))
	case "link": // to a file that is not to be written to
		other := filepath.Join(t.TempDir(), "other")
		if err = os.WriteFile(other, []byte("precious"), 0o600); err == nil {
			err = errors.Join(os.Remove(partial), os.Symlink(other, partial))
		}
		t.Cleanup(func() {
			if got, err := os.ReadFile(other); err != nil || string(got) != "precious" {
				t.Errorf("what the link led to is now %q: %v", got, err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}
