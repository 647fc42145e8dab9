package images_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/acrkit/acrkit/facade/images"
	"github.com/acrkit/acrkit/facade/internal/acrsuite"
)

// Manifests that are small and name each other a thousand times unfold to nothing that takes memory or time.
func TestTreeBomb(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root := s.image("amd64", "layer")
	for range 7 {
		list := make([]ocispec.Descriptor, 100)
		for i := range list {
			list[i] = root
		}
		root = s.index(list...)
	}
	s.name(root, "v1")
	if _, err := images.Tree(t.Context(), openLayout(t, s.dir(), nil), "v1"); !errors.Is(err, images.ErrTooMany) {
		t.Errorf("%v", err)
	}
}

// A tree has at most 100,000 nodes, whatever they are: images, what is missing, or referrers.
func TestTreeTooLarge(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(s *stock) ocispec.Descriptor{
		"images": func(s *stock) ocispec.Descriptor {
			return s.index(slices.Repeat([]ocispec.Descriptor{s.image("amd64", "layer")}, 330)...)
		},
		"missing images": func(s *stock) ocispec.Descriptor {
			lacking := make([]ocispec.Descriptor, 330)
			for i := range lacking {
				lacking[i] = describe(fmt.Sprint("image ", i))
				lacking[i].MediaType = ocispec.MediaTypeImageManifest
			}
			return s.index(lacking...)
		},
		"referrers": func(s *stock) ocispec.Descriptor {
			image := s.image("amd64", "layer")
			for i := range 330 {
				s.name(s.referrer(image, "application/vnd.example.sbom", fmt.Sprint(i)), "")
			}
			return image
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStock(t)
			below := build(s)
			s.name(s.index(slices.Repeat([]ocispec.Descriptor{below}, 290)...), "v1")
			s.name(s.index(slices.Repeat([]ocispec.Descriptor{below}, 310)...), "v2")
			l := openLayout(t, s.dir(), nil)
			if _, err := images.Tree(t.Context(), l, "v1"); err != nil {
				t.Errorf("290 times 331 nodes: %v", err)
			}
			if _, err := images.Tree(t.Context(), l, "v2"); !errors.Is(err, images.ErrTooMany) {
				t.Errorf("310 times 331 nodes: %v", err)
			}
		})
	}
}

// listing is a source that lists whatever it likes as referrers.
type listing struct {
	*memory

	referrers []ocispec.Descriptor
}

func (l listing) Predecessors(context.Context, ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	return l.referrers, nil
}

// A source that lists referrers without end, or manifests that together are too large for memory.
func TestCopyTooMuch(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	root := s.image("amd64", "layer")
	from := s.memory(root)
	endless := make([]ocispec.Descriptor, 10_001)
	for i := range endless {
		endless[i] = s.referrer(root, "application/vnd.example.sbom", fmt.Sprint(i))
	}
	lists := map[string][]ocispec.Descriptor{"many": endless}
	for i := range acrsuite.UnderRace(0, 20) { // 80 MiB of JSON, which takes the race detector seconds
		m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: s.blob(ocispec.MediaTypeImageConfig, []byte("{}"))}
		m.Subject, m.Annotations = &root, map[string]string{"padding": strings.Repeat(string(rune('a'+i)), 4<<20-4096)}
		lists["large"] = append(lists["large"], s.json(m.MediaType, m))
	}
	for name, referrers := range lists {
		_, err := images.Copy(t.Context(), listing{from, referrers}, "v1", newMemory(), "v1", &images.CopyOptions{Referrers: true})
		if e, ok := errors.AsType[*images.CopyError](err); !errors.Is(err, images.ErrTooMany) || !ok || e.Side != images.FromSource {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An error of somebody else's source is one line, without anything that a terminal would act upon.
func TestCopyErrorsAreOneLine(t *testing.T) {
	t.Parallel()
	_, err := images.Copy(t.Context(), failing{newMemory()}, "v1", newMemory(), "v1", nil)
	if !errors.Is(err, errFailing) || strings.ContainsAny(err.Error(), "\x1b\n\r") {
		t.Errorf("%q", err)
	}
}

var errFailing = errors.New("the server said\r\n\x1b[31mred")

type failing struct{ *memory }

func (failing) Resolve(context.Context, string) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errFailing
}
