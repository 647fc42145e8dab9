package download_test

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
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// TestDownloadPlace: what is under the file's name beforehand is replaced, whatever it is, but for a directory.
func TestDownloadPlace(t *testing.T) {
	t.Parallel()
	for _, there := range []string{"file", "link", "dangling link", "long name"} {
		t.Run(there, func(t *testing.T) {
			t.Parallel()
			acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToFile, acrsuite.ToFileInN}, func(d *acrsuite.Delivery) {
				other := filepath.Join(t.TempDir(), "other")
				err := error(nil)
				switch there {
				case "file":
					err = os.WriteFile(d.Path, make([]byte, 2*acrsuite.RangeSize), 0o644)
				case "link":
					err = errors.Join(os.WriteFile(other, []byte("precious"), 0o600), os.Symlink(other, d.Path))
				case "dangling link":
					err = os.Symlink(other, d.Path)
				case "long name":
					d.Path = filepath.Join(d.Dir, strings.Repeat("é", 127))
				}
				if err != nil {
					d.T.Fatal(err)
				}
				d.Arrives()
				if info, err := os.Lstat(d.Path); err != nil {
					d.Errorf("%v", err)
				} else if info.Mode() != 0o600 {
					d.Errorf("its mode is %v", info.Mode())
				}
				if got, err := os.ReadFile(other); there == "link" && string(got) != "precious" || there == "dangling link" && !errors.Is(err, fs.ErrNotExist) {
					d.Errorf("where the link leads there is now %q: %v", got, err)
				}
			})
		})
	}
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToFile}, func(d *acrsuite.Delivery) {
			for _, path := range []string{d.Dir, d.Dir + "/", d.Dir + "/.", d.Dir + "/.."} {
				d.Path = path
				if err := d.Fetch(); !asPathError(err) {
					d.Errorf("%s: %v", path, err)
				}
			}
			d.AtMost(0) // it is told before anything is fetched
			acrsuite.Alone(d.TT, d.Dir)
		})
	})
}

// TestDownloadIsNotDoneYet: a file that cannot get its name is not done, and nothing of it is fetched once more.
func TestDownloadIsNotDoneYet(t *testing.T) {
	t.Parallel()
	acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToFile, acrsuite.ToFileInN}, func(d *acrsuite.Delivery) {
		d.Srv.On("GetBlobContent").Nth(1).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if err := os.Mkdir(d.Path, 0o700); err != nil {
				d.Errorf("%v", err)
			}
			next.ServeHTTP(w, r)
		})
		if _, renamed := errors.AsType[*os.LinkError](d.Fetch()); !renamed || d.Progress.Done {
			d.Errorf("%+v", d.Progress)
		}
		if err := os.Remove(d.Path); err != nil {
			d.T.Fatal(err)
		}
		d.Srv.Ledger().Reset()
		d.Arrives()
		d.AtMost(0)
	})
}

// TestDownloadContinuesLater: a call that gets nothing at all leaves to the next one what it found.
func TestDownloadContinuesLater(t *testing.T) {
	t.Parallel()
	acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToFile, acrsuite.ToFileInN}, func(d *acrsuite.Delivery) {
		d.Breaking().ResetAfter(d.Middle())
		d.Resuming().Always().Status(http.StatusNotFound)
		d.Failed(d.Fetch(), acr.ErrNotFound)
		kept := d.Progress.Offset
		d.Srv.ClearFaults()
		d.Srv.On("GetBlob", "GetBlobContent").Always().Status(http.StatusNotFound)
		for range 2 {
			d.Failed(d.Fetch(), acr.ErrNotFound)
		}
		d.Srv.ClearFaults()
		d.Arrives()
		if missing := int64(len(d.Want)) - kept; kept == 0 || d.Progress.Sent > missing+acrsuite.RangePart {
			d.Errorf("%d bytes came where %d were missing", d.Progress.Sent, missing)
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
	acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToFile, acrsuite.ToFileInN}, func(d *acrsuite.Delivery) {
		partial := filepath.Join(d.Dir, ".layer."+d.Digest.Encoded()[:12]+".partial")
		state := fmt.Sprintf(`{"digest":%q,"size":%d,"offset":500000}`, d.Digest, 20*acrsuite.RangeSize)
		if err := errors.Join(os.WriteFile(partial, append(bytes.Clone(d.Want), make([]byte, 19*acrsuite.RangeSize)...), 0o600), os.WriteFile(partial+".json", []byte(state), 0o600)); err != nil {
			d.T.Fatal(err)
		}
		d.Srv.On("GetBlobContent").Always().WithoutHeader("Content-Length").RewriteHeader("Content-Range", sizeUntold)
		d.Srv.On("HeadBlob").Always().Status(http.StatusNotFound)
		d.Arrives()
	})
}

// TestDownloadStateLink: what says how far a download is goes through no link that somebody put in its place.
func TestDownloadStateLink(t *testing.T) {
	t.Parallel()
	acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ToFile, acrsuite.ToFileInN}, func(d *acrsuite.Delivery) {
		other, partial := filepath.Join(t.TempDir(), "other"), filepath.Join(d.Dir, ".layer."+d.Digest.Encoded()[:12]+".partial")
		if err := os.WriteFile(other, []byte("precious"), 0o600); err != nil {
			d.T.Fatal(err)
		}
		for _, name := range []string{".json", ".json.new"} {
			if err := os.Symlink(other, partial+name); err != nil {
				d.T.Fatal(err)
			}
		}
		d.Breaking().ResetAfter(d.Middle())
		d.Resuming().Always().Status(http.StatusNotFound)
		d.Failed(d.Fetch(), acr.ErrNotFound)
		if got, err := os.ReadFile(other); err != nil || string(got) != "precious" {
			d.Errorf("where the links lead there is now %q: %v", got, err)
		}
		if left := d.Partial(); len(left) != 2 {
			d.Errorf("%q is left", left)
		}
		d.Srv.ClearFaults()
		d.Arrives()
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
	acrsuite.Deliveries(t, []acrsuite.Form{acrsuite.ByRead}, func(d *acrsuite.Delivery) {
		d.Srv.On("GetBlobContent").Nth(1).Do(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			r = r.Clone(r.Context())
			r.Header.Set("Range", "bytes=1000-1999")
			next.ServeHTTP(w, r)
		}).RewriteHeader("Content-Range", sizeUntold)
		part, err := d.Repository().GetBlobRange(d.Ctx, d.Digest, 1000, -1)
		if err != nil {
			d.T.Fatal(err)
		}
		got, err := io.ReadAll(part)
		if err != nil || !bytes.Equal(got, d.Want[1000:]) {
			d.Errorf("%d of %d bytes: %v", len(got), len(d.Want)-1000, err)
		}
		if err := part.Close(); err != nil {
			d.Errorf("%v", err)
		}
		for _, bad := range [][2]int64{{-1, 1}, {1, math.MaxInt64}, {math.MaxInt64, 1}, {1 << 62, 1 << 62}} {
			if _, err := d.Repository().GetBlobRange(d.Ctx, d.Digest, bad[0], bad[1]); !errors.Is(err, acr.ErrInvalidArgument) {
				d.Errorf("%d bytes from %d on: %v", bad[1], bad[0], err)
			}
		}
	})
}
