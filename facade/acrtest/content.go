package acrtest

import (
	"math"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// everyPage asks for a whole list at once.
var everyPage = store.Page{N: math.MaxInt}

// Repositories gives the names of the repositories in order, those hidden from lists left out. It sends no request.
func (s *Server) Repositories() []string {
	names, _ := s.store.Repositories(everyPage)
	return names
}

// Tags gives the tags of a repository in order of name, those hidden from lists left out; none of a repository that does not
// exist. It sends no request.
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

// Manifests gives the digests of the manifests of a repository in order, those hidden from lists left out; none of a repository
// that does not exist. It sends no request.
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

// HasBlob tells whether a repository holds a blob. It sends no request.
func (s *Server) HasBlob(repository string, d digest.Digest) bool {
	_, err := s.store.Blob(repository, d)
	return err == nil
}

// Uploads gives the number of upload sessions of a repository that are open: neither completed, cancelled nor expired. It sends no
// request.
func (s *Server) Uploads(repository string) int { return s.store.Uploads(repository) }

// Collect frees what nothing refers to any more and what is older than grace: blobs that no manifest of their repository names,
// upload sessions and deleted manifests whose time is over. The service does so on its own; the emulator does when told. It gives
// the number of blobs freed.
func (s *Server) Collect(grace time.Duration) (blobs int, err error) {
	freed, err := s.store.Collect(grace)
	return freed.Blobs, err
}
