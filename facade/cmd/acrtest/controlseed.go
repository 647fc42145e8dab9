package main

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
)

// seedling is a line of seeding; exactly one of its members is given.
type seedling struct {
	Image *struct { // an image of one platform; layers in base64, or one of its own
		Reference string
		Layers    [][]byte
	}
	Index *struct { // an image for each architecture
		Reference     string
		Architectures []string
	}
	Referrer *struct { // an artifact that refers to a subject
		Repository   string
		Subject      digest.Digest
		ArtifactType string `json:"artifact_type"`
	}
	Blob *struct { // in base64
		Repository string
		Content    []byte
	}
	Tags *struct { // n tags of one image: t000000, t000001 and so on
		Repository string
		N          int
	}
	Manifests *struct { // n artifacts without tags
		Repository string
		N          int
	}
	Layout *struct { // an OCI image layout on this machine
		Repository, Directory string
	}
}

func (c *control) seed(body []byte, _ *http.Request) (any, error) {
	var s seedling
	if err := read(body, &s); err != nil {
		return nil, err
	}
	given := 0
	for _, there := range []bool{s.Image != nil, s.Index != nil, s.Referrer != nil, s.Blob != nil, s.Tags != nil, s.Manifests != nil, s.Layout != nil} {
		if there {
			given++
		}
	}
	if given != 1 {
		return nil, refuse("use exactly one of image, index, referrer, blob, tags, manifests, layout")
	}
	var digests []digest.Digest
	one := func(d digest.Digest) { digests = append(digests, d) }
	failed := attempt(func(t testing.TB) {
		switch {
		case s.Image != nil:
			one(c.registry.SeedImage(t, s.Image.Reference, s.Image.Layers...))
		case s.Index != nil:
			one(c.registry.SeedIndex(t, s.Index.Reference, s.Index.Architectures...))
		case s.Referrer != nil:
			one(c.registry.SeedReferrer(t, s.Referrer.Repository, s.Referrer.Subject, s.Referrer.ArtifactType))
		case s.Blob != nil:
			one(c.registry.SeedBlob(t, s.Blob.Repository, s.Blob.Content))
		case s.Tags != nil:
			one(c.registry.SeedTags(t, s.Tags.Repository, s.Tags.N))
		case s.Manifests != nil:
			digests = c.registry.SeedManifests(t, s.Manifests.Repository, s.Manifests.N)
		case s.Layout != nil:
			c.registry.SeedLayout(t, s.Layout.Repository, s.Layout.Directory)
		}
	})
	return map[string][]digest.Digest{"digests": digests}, failed
}

// attempted stands where the seeding wants a test, to learn what went wrong.
type attempted struct {
	testing.TB // none: only what is below is called
}

func (attempted) Helper() {}

func (attempted) Fatal(args ...any) { panic(refusal{fmt.Sprint(args...)}) }

// attempt runs what fails like a test does, and gives its failure as an error.
func attempt(f func(testing.TB)) (err error) {
	defer func() {
		switch problem := recover().(type) {
		case nil:
		case refusal:
			err = problem
		default:
			panic(problem)
		}
	}()
	f(attempted{})
	return nil
}
