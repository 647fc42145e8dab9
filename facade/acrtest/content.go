package acrtest

import (
	"math"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// everyPage asks for a whole list at once.
var everyPage = store.Page{N: math.MaxInt}

// Repositories returns the sorted names of the repositories, without those hidden from lists. It
// sends no request.
func (s *Server) Repositories() []string {
	names, _ := s.store.Repositories(everyPage)
	return names
}

// Tags returns the sorted tags of a repository, without those hidden from lists. It returns nil if
// the repository does not exist. It sends no request.
func (s *Server) Tags(repository string) []string {
	tags, _, err := s.store.Tags(repository, "", everyPage)
	if err != nil {
		return nil
	}
	names := make([]string, len(tags))
	for i, tag := range tags {
		names[i] = tag.Name
	}
	return names
}

// Manifests returns the sorted digests of the manifests of a repository, without those hidden from
// lists. It returns nil if the repository does not exist. It sends no request.
func (s *Server) Manifests(repository string) []digest.Digest {
	manifests, _, err := s.store.Manifests(repository, everyPage)
	if err != nil {
		return nil
	}
	digests := make([]digest.Digest, len(manifests))
	for i, m := range manifests {
		digests[i] = m.Digest
	}
	return digests
}

// HasBlob reports whether a repository has a blob. It sends no request.
func (s *Server) HasBlob(repository string, d digest.Digest) bool {
	_, err := s.store.Blob(repository, d)
	return err == nil
}

// Uploads returns the number of open upload sessions of a repository: those neither completed,
// canceled nor expired. It sends no request.
func (s *Server) Uploads(repository string) int { return s.store.Uploads(repository) }

// Collect deletes blobs that no manifest of their repository refers to and that were uploaded or
// mounted longer than grace ago, expired upload sessions, and deleted manifests past their
// retention period. It returns the number of deleted blobs. The service collects on its own
// schedule; the emulator only when Collect is called. Collect fails only if the directory of
// [WithDirectory] cannot be written.
func (s *Server) Collect(grace time.Duration) (blobs int, err error) {
	freed, err := s.store.Collect(grace)
	return freed.Blobs, err
}
