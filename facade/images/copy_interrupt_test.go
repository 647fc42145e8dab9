package images_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

var lossStep = flag.Int("images.step", acrsuite.UnderRace(11, 1), "how far apart the requests are that a copy loses: 1 loses each")

// breaker lets one request of a copy fail, and looks after every single one whether a tag stands for an incomplete image.
type breaker struct {
	t     *testing.T
	srv   *acrtest.Server
	s     *stock
	repo  string
	seen  atomic.Int64
	at    atomic.Int64
	well  atomic.Bool
	mode  string
	kill  context.CancelFunc
	watch *http.Client

	together map[string][]ocispec.Descriptor // what has to be there as soon as a tag is
}

const witnessHeader = "X-Witness" // marks the requests of the witness itself

func (b *breaker) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.Header.Get(witnessHeader) != "" {
		next.ServeHTTP(w, r)
		return
	}
	n := b.seen.Add(1)
	switch {
	case b.well.Load():
		next.ServeHTTP(w, r)
	case n == b.at.Load() && (b.mode == "fails" || b.mode == "twice"), n >= b.at.Load() && b.mode == "gone":
		w.Header().Set(acrtest.FaultHeader, "refused")
		w.WriteHeader(http.StatusForbidden)
	case n == b.at.Load() && b.mode == "killed":
		next.ServeHTTP(w, r)
		b.kill()
	default:
		next.ServeHTTP(w, r)
	}
	b.noHalfImages()
}

// noHalfImages reads the registry by plain HTTP.
func (b *breaker) noHalfImages() {
	for _, tag := range b.srv.Tags(b.repo) {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, b.srv.Endpoint()+"/v2/"+b.repo+"/manifests/"+tag, nil)
		if err != nil {
			b.t.Error(err)
			return
		}
		req.Header.Set(witnessHeader, "1")
		req.Header.Set("Accept", "*/*")
		req.SetBasicAuth(b.srv.Admin())
		resp, err := b.watch.Do(req)
		if err != nil {
			b.t.Error(err)
			return
		}
		_ = resp.Body.Close()
		d := b.s.describe(digest.Digest(resp.Header.Get("Docker-Content-Digest")))
		for _, needed := range b.s.below(append(b.together[tag], d)...) {
			if !b.has(needed) {
				b.t.Errorf("request %d %s: tag %s stands for an image without %s", b.at.Load(), b.mode, tag, needed)
			}
		}
	}
}

// has tells whether the repository holds a manifest or blob, without a request.
func (b *breaker) has(d digest.Digest) bool {
	return slices.Contains(b.srv.Manifests(b.repo), d) || b.srv.HasBlob(b.repo, d)
}

func TestPushInterrupted(t *testing.T) {
	t.Parallel()
	interrupted(t, func(ctx context.Context, dir string, _, to *acr.Repository) error {
		_, err := images.Push(ctx, dir, "v1", to, "v1", &images.CopyOptions{Referrers: true, Concurrency: 2})
		return err
	}, "fails", "gone", "killed")
}

// From one registry to another, the requests to both in turn.
func TestCopyInterrupted(t *testing.T) {
	t.Parallel()
	interrupted(t, func(ctx context.Context, _ string, from, to *acr.Repository) error {
		_, err := images.Copy(ctx, images.Of(from), "v1", images.Of(to), "v1", &images.CopyOptions{Referrers: true, Concurrency: 2})
		return err
	}, "fails", "gone", "killed")
}

func TestPromoteInterrupted(t *testing.T) {
	t.Parallel()
	interrupted(t, func(ctx context.Context, _ string, from, to *acr.Repository) error {
		_, err := images.Promote(ctx, from, "v1", to, "v1", nil)
		return err
	}, "twice")
}

// Within a registry, where nothing is sent but everything mounted.
func TestPromoteInRegistryInterrupted(t *testing.T) {
	t.Parallel()
	interrupted(t, func(ctx context.Context, _ string, from, to *acr.Repository) error {
		_, err := images.Promote(ctx, to.Client().Repository(from.Name()), "v1", to, "v1", nil)
		return err
	}, "killed")
}

func TestMirrorInterrupted(t *testing.T) {
	t.Parallel()
	interrupted(t, func(ctx context.Context, _ string, from, to *acr.Repository) error {
		rules := []images.MirrorRule{{From: from.Name(), To: to.Name(), Tags: []string{"v*"}}}
		o := &images.MirrorOptions{Copy: images.CopyOptions{Referrers: true, Concurrency: 2}}
		for m, err := range images.Mirror(ctx, images.OfClient(from.Client()), to.Client(), rules, o) {
			switch {
			case err != nil && !strings.Contains(err.Error(), "mirror "+from.Name()):
				return fmt.Errorf("an error that does not say where it was: %w", err)
			case err != nil:
				return &images.CopyError{Side: images.FromSource, Place: from.Name(), Err: err}
			case m.Err != nil:
				return m.Err
			}
		}
		return nil
	}, "twice")
}

// small is an image of which everything can be lost in turn in reasonable time.
func (s *stock) small() (root, sbom, signature ocispec.Descriptor, cosign string) {
	s.t.Helper()
	root = s.index(s.image("amd64", "layer"))
	sbom, signature = s.referrer(root, "application/vnd.example.sbom", "sbom"), s.image("unknown", "what cosign signs")
	cosign = "sha256-" + root.Digest.Encoded() + ".sig"
	s.name(root, "v1")
	s.name(sbom, "")
	s.name(signature, cosign)
	return root, sbom, signature, cosign
}

// interrupted lets one request of a copy after the other fail, every fourth one under the race detector, alone or with all that follow, or
// be the last one of its process, and runs the copy again; in the mode "twice" that one fails as well, and a third one follows. The copy is from a layout, or from
// the repository dev/app of another registry or of the same.
func interrupted(t *testing.T, copyTo func(ctx context.Context, dir string, from, to *acr.Repository) error, modes ...string) {
	t.Helper()
	s := newStock(t)
	root, sbom, signature, cosign := s.small()
	dir := s.dir()
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			srv, client := newRegistry(t, acrtest.WithoutAnonymousPull())
			other, otherClient := newRegistry(t, acrtest.WithoutAnonymousPull())
			from := otherClient.Repository("dev/app")
			for _, r := range []*acr.Repository{from, client.Repository("dev/app")} {
				pushLayout(t, dir, "v1", r, "v1", &images.CopyOptions{Referrers: true})
			}
			for at := int64(acrsuite.FirstOf(t, *lossStep)); ; at += int64(*lossStep) {
				if at > 200 {
					t.Fatal("the copy does not end")
				}
				to := client.Repository(fmt.Sprintf("team/app%d", at)) // with a token of its own
				ctx, kill := context.WithCancel(t.Context())
				b := &breaker{t: t, srv: srv, s: s, repo: to.Name(), mode: mode, kill: kill, watch: srv.HTTPClient()}
				b.at.Store(at)
				b.together = map[string][]ocispec.Descriptor{"v1": {root, sbom, signature}}
				srv.On().Always().Do(b.serve)
				other.On().Always().Do(b.serve)
				err := copyTo(ctx, dir, from, to)
				kill()
				if e, ok := errors.AsType[*images.CopyError](err); err != nil && (!ok || e.Side == "" || e.Place == "" || e.Err == nil) {
					t.Errorf("request %d: the error does not say where it was: %v", at, err)
				}
				b.noHalfImages()
				reached := b.seen.Load() >= at
				if mode == "twice" { // sooner or later
					b.seen.Store(0)
					b.at.Store(1 + (at*7)%(at+5))
					_ = copyTo(t.Context(), dir, from, to)
					b.noHalfImages()
				}
				b.well.Store(true)
				if err := copyTo(t.Context(), dir, from, to); err != nil {
					t.Fatalf("request %d: again: %v", at, err)
				}
				srv.ClearFaults()
				other.ClearFaults()
				s.inRegistry(client, to.Name(), map[string]ocispec.Descriptor{"v1": root, cosign: signature}, sbom)
				b.watch.CloseIdleConnections()
				if !reached {
					return // there were no more requests
				}
			}
		})
	}
}

// The same for a pull: a layout never names what it does not hold, and the next pull completes it.
func TestPullInterrupted(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root, sbom, signature, cosign := s.small()
	for _, mode := range []string{"fails", "gone", "killed"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			srv, client := newRegistry(t)
			pushLayout(t, s.dir(), "v1", client.Repository("team/app"), "v1", &images.CopyOptions{Referrers: true})
			for at := int64(acrsuite.FirstOf(t, *lossStep)); ; at += int64(*lossStep) {
				if at > 200 {
					t.Fatal("the pull does not end")
				}
				dir := t.TempDir()
				ctx, kill := context.WithCancel(t.Context())
				b := &breaker{t: t, srv: srv, s: s, repo: "none", mode: mode, kill: kill}
				b.at.Store(at)
				srv.On().Always().Do(b.serve)
				pull := func(ctx context.Context) error {
					_, err := images.Pull(ctx, client.Repository("team/app"), "v1", dir, &images.CopyOptions{Referrers: true, Concurrency: 2})
					return err
				}
				_ = pull(ctx)
				kill()
				srv.ClearFaults()
				s.noHalfLayout(dir, fmt.Sprintf("request %d %s", at, mode))
				if err := pull(t.Context()); err != nil {
					t.Fatalf("request %d: again: %v", at, err)
				}
				s.holds(dir, root, sbom, signature)
				if d, err := openLayout(t, dir, nil).Resolve(t.Context(), cosign); err != nil || d.Digest != signature.Digest {
					t.Errorf("%v, %v", d, err)
				}
				if b.seen.Load() < at {
					return
				}
			}
		})
	}
}

// noHalfLayout demands that all that index.json names is there.
func (s *stock) noHalfLayout(dir, when string) {
	s.t.Helper()
	var index ocispec.Index
	if err := json.Unmarshal(readFile(s.t, filepath.Join(dir, "index.json")), &index); err != nil {
		s.t.Fatal(err)
	}
	for _, d := range index.Manifests {
		for _, needed := range s.below(d) {
			if got := readFile(s.t, filepath.Join(dir, "blobs", "sha256", needed.Encoded())); needed.Algorithm().FromBytes(got) != needed {
				s.t.Errorf("%s: %s is not what it is called", when, needed)
			}
		}
	}
}
