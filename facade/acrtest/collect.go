package acrtest

import "time"

// Collect frees what nothing refers to any more and what is older than grace: blobs that no manifest of their repository names,
// upload sessions and deleted manifests whose time is over. The service does so on its own; the emulator does when told. It gives
// the number of blobs freed.
func (s *Server) Collect(grace time.Duration) (blobs int, err error) {
	freed, err := s.store.Collect(grace)
	return freed.Blobs, err
}
