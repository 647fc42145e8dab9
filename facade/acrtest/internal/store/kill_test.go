package store

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

var kills = flag.Int("kills", 15, "how often TestKill kills the writer")

const writerEnv = "ACRTEST_STORE_WRITER"

// write makes changes and prints each after it was acknowledged, until the process is killed.
func write(dir string) {
	tell := func(words ...any) { fmt.Fprintln(os.Stdout, words...) }
	st, err := Open(Options{Dir: dir})
	if err != nil {
		tell("open:", err)
		os.Exit(1)
	}
	first, _ := st.Repository("r")
	for i := first.Manifests; ; i++ {
		content := strings.Repeat(fmt.Sprint("layer ", i, " "), 1+i%5*20000)
		b, err := st.PutBlob("r", strings.NewReader(content), "")
		if err != nil {
			tell("blob:", err)
			os.Exit(1)
		}
		tell("B", b.Digest)
		tag := fmt.Sprint("t", i)
		m, err := st.PutManifest("r", Push{MediaType: mediaType, Content: image(b.Digest, i), Tags: []string{tag}})
		if err != nil {
			tell("manifest:", err)
			os.Exit(1)
		}
		tell("M", m.Digest)
		tell("T", tag, m.Digest)
		if i%3 == 0 {
			if _, err := st.DeleteTag("r", tag); err != nil {
				tell("untag:", err)
				os.Exit(1)
			}
			tell("U", tag)
		}
	}
}

// acknowledged is what the writer was told.
type acknowledged struct {
	blobs, manifests map[digest.Digest]bool
	tags             map[string]digest.Digest
	doubt            string // the tag whose deletion may have been made without being told
}

func (a *acknowledged) note(line string) error {
	f := strings.Fields(line)
	switch {
	case len(f) == 2 && f[0] == "B":
		a.blobs[digest.Digest(f[1])] = true
	case len(f) == 2 && f[0] == "M":
		a.manifests[digest.Digest(f[1])] = true
	case len(f) == 3 && f[0] == "T":
		a.tags[f[1]], a.doubt = digest.Digest(f[2]), f[1]
	case len(f) == 2 && f[0] == "U":
		delete(a.tags, f[1])
	default:
		return fmt.Errorf("the writer says %q", line)
	}
	return nil
}

// TestKill kills a writer with SIGKILL at a random moment, again and again on the same directory,
// and wants everything that it was told of to be there. Run it with -kills=1000.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	told := acknowledged{map[digest.Digest]bool{}, map[digest.Digest]bool{}, map[string]digest.Digest{}, ""}
	random := rand.New(rand.NewPCG(3, 4))
	for range *kills {
		killOne(t, dir, &told, time.Duration(random.IntN(20000))*time.Microsecond)
	}
	st := open(t, Options{Dir: dir})
	verify(t, st, &told)
	t.Logf("%d kills, %d blobs, %d manifests, %d tags", *kills, len(told.blobs), len(told.manifests), len(told.tags))
}

func killOne(t *testing.T, dir string, told *acknowledged, after time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	out := must[io.ReadCloser](t)(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	var timer *time.Timer
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // the last line may be torn: then it was not told
		}
		if timer == nil {
			// Killing begins with the first change, or a slow start would never be past.
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		if err := told.note(strings.TrimSuffix(line, "\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the writer ended by itself")
	}
	if timer == nil {
		t.Fatal("the writer never wrote")
	}
	timer.Stop()
	// Only the deletion of the last tag can have been made without being told.
	st := must[*Store](t)(Open(Options{Dir: dir}))
	defer func() { _ = st.Close() }()
	if _, err := st.Tag("r", told.doubt); err != nil {
		delete(told.tags, told.doubt)
	}
}

func verify(t *testing.T, st *Store, told *acknowledged) {
	t.Helper()
	for d := range told.blobs {
		b, err := st.Blob("r", d)
		if err != nil {
			t.Errorf("blob %s: %v", d, err)
			continue
		}
		r := must[ContentReader](t)(b.Open())
		v := d.Verifier()
		if err := r.WriteRange(v, 0, b.Size); err != nil || !v.Verified() {
			t.Errorf("blob %s: damaged: %v", d, err)
		}
		_ = r.Close()
	}
	for d := range told.manifests {
		if _, err := st.Manifest("r", d); err != nil {
			t.Errorf("manifest %s: %v", d, err)
		}
	}
	for tag, d := range told.tags {
		if got, err := st.Tag("r", tag); err != nil || got.Digest != d {
			t.Errorf("tag %s: %s, %v; want %s", tag, got.Digest, err, d)
		}
	}
	if p := must[Repository](t)(st.Repository("r")); p.Tags != len(told.tags) {
		// A tag whose push was made and not told is one more for each kill at most.
		if p.Tags < len(told.tags) || p.Tags > len(told.tags)+*kills {
			t.Errorf("%d tags, told of %d", p.Tags, len(told.tags))
		}
	}
}
