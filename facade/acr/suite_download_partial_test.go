package acr_test

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
)

// TestDownloadPartial: what a broken-off download leaves is used as far as it is good, whatever somebody does to it.
func TestDownloadPartial(t *testing.T) {
	t.Parallel()
	for _, tamper := range []string{"", "content", "state", "shorter", "longer", "link", "directory", "readable", "other digest", "no state", "second name", "empty and readable", "state is a pipe", "killed while it wrote the state"} {
		t.Run("tamper "+tamper, func(t *testing.T) {
			t.Parallel()
			deliveries(t, []form{toFile, toFileInN}, func(d *delivery) {
				d.note = tamper
				d.srv.On("GetBlobContent").When(func(r *http.Request) bool {
					from, to, _ := askedRange(r)
					return d.form.ranges && to > 600_000 || !d.form.ranges && from == 0
				}).Nth(1).Truncate(500_000)
				d.srv.On("GetBlobContent").When(func(r *http.Request) bool {
					from, to, _ := askedRange(r)
					return from >= 400_000 || to > 700_000
				}).Always().Status(http.StatusNotFound)
				d.failed(d.fetch(), acr.ErrNotFound)
				if left := d.partial(); len(left) != 2 {
					d.t.Fatalf("%q is left", left)
				}
				offset := d.progress.Offset
				if offset < 200_000 {
					d.errorf("only %d bytes are kept", offset)
				}
				tamperWith(d.tt, d.dir, tamper)
				d.srv.ClearFaults()
				d.srv.Ledger().Reset()
				if err := d.fetch(); err != nil {
					d.errorf("%v", err)
					return
				}
				d.kept(tamper, offset)
			})
		})
	}
}

// TestDownloadPartialOfWrongBytes: what turned out to be wrong is not kept, though the second try failed for another reason.
func TestDownloadPartialOfWrongBytes(t *testing.T) {
	t.Parallel()
	deliveries(t, []form{toFile, toFileInN}, func(d *delivery) {
		for _, size := range []int{247, rangeSize} {
			d.fill(size)
			first := d.srv.On("GetBlobContent").Nth(1).FlipByte(7)
			d.srv.On("GetBlob").Nth(2).Status(http.StatusNotFound)
			d.failed(d.fetch(), acr.ErrNotFound)
			if left := d.partial(); first.Hits() != 1 || len(left) > 0 {
				d.errorf("%q is kept", left)
			}
			d.srv.ClearFaults()
			d.arrives()
			if err := os.Remove(d.path); err != nil {
				d.errorf("%v", err)
			}
		}
	})
}

// TestDownloadPartialIsWhole: a process that was killed before it gave the file its name leaves nothing to fetch.
func TestDownloadPartialIsWhole(t *testing.T) {
	t.Parallel()
	for _, more := range []int{0, 1, 70_000} {
		deliveries(t, []form{toFile, toFileInN}, func(d *delivery) {
			partial := filepath.Join(d.dir, ".layer."+d.dgst.Encoded()[:12]+".partial")
			state := fmt.Sprintf(`{"digest":%q,"size":%d,"offset":%d}`, d.dgst, len(d.want)+more, len(d.want)+more)
			if err := errors.Join(os.WriteFile(partial, append(bytes.Clone(d.want), make([]byte, more)...), 0o600), os.WriteFile(partial+".json", []byte(state), 0o600)); err != nil {
				t.Fatal(err)
			}
			d.arrives()
			if more == 0 {
				d.atMost(0)
			} else if d.progress.Restarts != 1 { // what is there is no beginning of the blob
				d.errorf("%+v", d.progress)
			}
		})
	}
}

// kept demands that the continued download is whole, and that no more was fetched than what somebody did asks for.
func (d *delivery) kept(tamper string, offset int64) {
	d.t.Helper()
	if !bytes.Equal(d.got, d.want) {
		d.errorf("got %d bytes that are not the %d of the blob", len(d.got), len(d.want))
	}
	restarts := 0
	switch tamper {
	case "", "longer", "killed while it wrote the state":
		if missing := int64(len(d.want)) - offset; d.progress.Sent > missing+rangePart {
			d.errorf("%d bytes came where %d were missing", d.progress.Sent, missing)
		}
	case "content", "state":
		restarts = 1
	default: // begins anew
		d.wastedAtMost(connectionSlack)
	}
	if d.progress.Restarts != restarts {
		d.errorf("%+v", d.progress)
	}
	if slices.Contains([]string{"", "content", "state", "longer", "shorter", "no state", "other digest", "state is a pipe", "killed while it wrote the state"}, tamper) {
		alone(d.tt, d.dir, filepath.Base(d.path))
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
