package acr_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
)

// TestDownloadPlace: what is under the file's name beforehand is replaced, whatever it is, but for a directory.
func TestDownloadPlace(t *testing.T) {
	t.Parallel()
	for _, there := range []string{"file", "link", "dangling link", "long name"} {
		t.Run(there, func(t *testing.T) {
			t.Parallel()
			deliveries(t, []form{toFile, toFileInN}, func(d *delivery) {
				other := filepath.Join(t.TempDir(), "other")
				err := error(nil)
				switch there {
				case "file":
					err = os.WriteFile(d.path, make([]byte, 2*rangeSize), 0o644)
				case "link":
					err = errors.Join(os.WriteFile(other, []byte("precious"), 0o600), os.Symlink(other, d.path))
				case "dangling link":
					err = os.Symlink(other, d.path)
				case "long name":
					d.path = filepath.Join(d.dir, strings.Repeat("é", 127))
				}
				if err != nil {
					d.t.Fatal(err)
				}
				d.arrives()
				if info, err := os.Lstat(d.path); err != nil {
					d.errorf("%v", err)
				} else if info.Mode() != 0o600 {
					d.errorf("its mode is %v", info.Mode())
				}
				if got, err := os.ReadFile(other); there == "link" && string(got) != "precious" || there == "dangling link" && !errors.Is(err, fs.ErrNotExist) {
					d.errorf("where the link leads there is now %q: %v", got, err)
				}
			})
		})
	}
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		deliveries(t, []form{toFile}, func(d *delivery) {
			for _, path := range []string{d.dir, d.dir + "/", d.dir + "/.", d.dir + "/.."} {
				d.path = path
				if err := d.fetch(); !asPathError(err) {
					d.errorf("%s: %v", path, err)
				}
			}
			d.atMost(0) // it is told before anything is fetched
			alone(d.tt, d.dir)
		})
	})
}

// TestDownloadIsNotDoneYet: a file that cannot get its name is not done, and nothing of it is fetched once more.
func TestDownloadIsNotDoneYet(t *testing.T) {
	t.Parallel()
	deliveries(t, []form{toFile, toFileInN}, func(d *delivery) {
		d.srv.On("GetBlobContent").Nth(1).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if err := os.Mkdir(d.path, 0o700); err != nil {
				d.errorf("%v", err)
			}
			next.ServeHTTP(w, r)
		})
		if _, renamed := errors.AsType[*os.LinkError](d.fetch()); !renamed || d.progress.Done {
			d.errorf("%+v", d.progress)
		}
		if err := os.Remove(d.path); err != nil {
			d.t.Fatal(err)
		}
		d.srv.Ledger().Reset()
		d.arrives()
		d.atMost(0)
	})
}

// TestDownloadContinuesLater: a call that gets nothing at all leaves to the next one what it found.
func TestDownloadContinuesLater(t *testing.T) {
	t.Parallel()
	deliveries(t, []form{toFile, toFileInN}, func(d *delivery) {
		d.breaking().ResetAfter(d.middle())
		d.resuming().Always().Status(http.StatusNotFound)
		d.failed(d.fetch(), acr.ErrNotFound)
		kept := d.progress.Offset
		d.srv.ClearFaults()
		d.srv.On("GetBlob", "GetBlobContent").Always().Status(http.StatusNotFound)
		for range 2 {
			d.failed(d.fetch(), acr.ErrNotFound)
		}
		d.srv.ClearFaults()
		d.arrives()
		if missing := int64(len(d.want)) - kept; kept == 0 || d.progress.Sent > missing+rangePart {
			d.errorf("%d bytes came where %d were missing", d.progress.Sent, missing)
		}
	})
}

func asPathError(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok
}

// TestDownloadLengthOfPartial: a partial file that is longer than the blob does not make the file longer, though nobody tells the size.
func TestDownloadLengthOfPartial(t *testing.T) {
	t.Parallel()
	deliveries(t, []form{toFile, toFileInN}, func(d *delivery) {
		partial := filepath.Join(d.dir, ".layer."+d.dgst.Encoded()[:12]+".partial")
		state := fmt.Sprintf(`{"digest":%q,"size":%d,"offset":500000}`, d.dgst, 20*rangeSize)
		if err := errors.Join(os.WriteFile(partial, append(bytes.Clone(d.want), make([]byte, 19*rangeSize)...), 0o600), os.WriteFile(partial+".json", []byte(state), 0o600)); err != nil {
			d.t.Fatal(err)
		}
		d.srv.On("GetBlobContent").Always().WithoutHeader("Content-Length").RewriteHeader("Content-Range", sizeUntold)
		d.srv.On("HeadBlob").Always().Status(http.StatusNotFound)
		d.arrives()
	})
}

// TestDownloadStateLink: what says how far a download is goes through no link that somebody put in its place.
func TestDownloadStateLink(t *testing.T) {
	t.Parallel()
	deliveries(t, []form{toFile, toFileInN}, func(d *delivery) {
		other, partial := filepath.Join(t.TempDir(), "other"), filepath.Join(d.dir, ".layer."+d.dgst.Encoded()[:12]+".partial")
		if err := os.WriteFile(other, []byte("precious"), 0o600); err != nil {
			d.t.Fatal(err)
		}
		for _, name := range []string{".json", ".json.new"} {
			if err := os.Symlink(other, partial+name); err != nil {
				d.t.Fatal(err)
			}
		}
		d.breaking().ResetAfter(d.middle())
		d.resuming().Always().Status(http.StatusNotFound)
		d.failed(d.fetch(), acr.ErrNotFound)
		if got, err := os.ReadFile(other); err != nil || string(got) != "precious" {
			d.errorf("where the links lead there is now %q: %v", got, err)
		}
		if left := d.partial(); len(left) != 2 {
			d.errorf("%q is left", left)
		}
		d.srv.ClearFaults()
		d.arrives()
	})
}

// sizeUntold is a Content-Range that does not tell the size of the whole.
func sizeUntold(v string) string {
	at := strings.LastIndexByte(v, '/')
	if at < 0 {
		return v
	}
	return v[:at] + "/*"
}

// TestRangeOfUntoldSize: a range that is shorter than it was asked for is not the end of the blob because its header does not tell where
// that is.
func TestRangeOfUntoldSize(t *testing.T) {
	t.Parallel()
	deliveries(t, []form{byRead}, func(d *delivery) {
		d.srv.On("GetBlobContent").Nth(1).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			r = r.Clone(r.Context())
			r.Header.Set("Range", "bytes=1000-1999")
			next.ServeHTTP(w, r)
		}).RewriteHeader("Content-Range", sizeUntold)
		part, err := d.repository().GetBlobRange(d.ctx, d.dgst, 1000, -1)
		if err != nil {
			d.t.Fatal(err)
		}
		got, err := io.ReadAll(part)
		if err != nil || !bytes.Equal(got, d.want[1000:]) {
			d.errorf("%d of %d bytes: %v", len(got), len(d.want)-1000, err)
		}
		if err := part.Close(); err != nil {
			d.errorf("%v", err)
		}
		for _, bad := range [][2]int64{{-1, 1}, {1, math.MaxInt64}, {math.MaxInt64, 1}, {1 << 62, 1 << 62}} {
			if _, err := d.repository().GetBlobRange(d.ctx, d.dgst, bad[0], bad[1]); !errors.Is(err, acr.ErrInvalidArgument) {
				d.errorf("%d bytes from %d on: %v", bad[1], bad[0], err)
			}
		}
	})
}
