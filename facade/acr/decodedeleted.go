package acr

import (
	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/jsonscan"
	"github.com/acrkit/acrkit/facade/internal/redact"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

func decodeDeletedManifests(page reply, into []DeletedManifest) ([]DeletedManifest, error) {
	return decodeList(page, into, "manifests", func(s *jsonscan.Scanner, m, last *DeletedManifest) {
		m.Attributes = allEnabled
		s.Object(func(k []byte) {
			switch key := string(k); {
			case key == "deletedAt":
				m.DeletedAt = s.Time()
			case !scanManifestMember(s, key, &m.ManifestProperties, &last.ManifestProperties):
				s.Skip()
			}
		})
		named(s, string(m.Digest))
	}, func(m *DeletedManifest, h heading) { m.Registry, m.Repository = h.registry, h.repository })
}

func decodeDeletedTags(page reply, into []DeletedTag) ([]DeletedTag, error) {
	return decodeList(page, into, "tags", func(s *jsonscan.Scanner, t, last *DeletedTag) {
		s.Object(func(k []byte) {
			switch string(k) {
			case "tag":
				t.Name = string(s.Text())
			case "digest":
				t.Digest = digest.Digest(reportedAs(s, string(last.Digest)))
			case "deletedAt":
				t.DeletedAt = s.Time()
			default:
				s.Skip()
			}
		})
		named(s, t.Name)
	}, func(t *DeletedTag, h heading) { t.Repository = h.repository })
}

// printable returns a name with the characters escaped that are not printed. What was deleted is no error any more.
func printable(name string) string {
	if wire.IsVisible(name) {
		return name
	}
	return redact.OneLine(name)
}

// decodeDeletion reads what the deletion of a repository took with it, and whether the document lists it.
func decodeDeletion(document []byte) (d DeletedRepository, listed bool, err error) {
	if len(document) == 0 {
		return d, false, nil
	}
	s := jsonscan.New(document)
	err = s.Document(func(k []byte) {
		switch string(k) {
		case "manifestsDeleted":
			d.Manifests, listed = nil, true
			s.Array(func() {
				if room(s, len(d.Manifests), maxDeleted) {
					d.Manifests = append(d.Manifests, digest.Digest(printable(string(s.Text()))))
				}
			})
		case "tagsDeleted":
			d.Tags, listed = nil, true
			s.Array(func() {
				if room(s, len(d.Tags), maxDeleted) {
					d.Tags = append(d.Tags, printable(string(s.Text())))
				}
			})
		default:
			s.Skip()
		}
	})
	return d, listed, err
}
