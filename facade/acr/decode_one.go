package acr

import "github.com/opencontainers/go-digest"

// decodeOne reads {"registry":…,"imageName":…,"<key>":{entry}}.
func decodeOne[T any](document []byte, key string, entry func(*scanner, *T, *T)) (v T, h heading, err error) {
	s := &scanner{data: document}
	var none T
	found := false
	err = s.document(func(k []byte) {
		switch string(k) {
		case "registry":
			h.registry = string(s.text())
		case "imageName":
			h.repository = string(s.text())
		case key:
			found, v = true, none
			entry(s, &v, &none)
		default:
			s.skip()
		}
	})
	if err == nil && !found {
		err = contradicts(ErrMalformedReply, "it has no %q", key)
	}
	return v, h, err
}

// about refuses a reply that is about something else than what was asked for, or about nothing.
func about(got, want string, err error) error {
	if err == nil && got != want {
		return contradicts(ErrMalformedReply, "it is about %s instead of %s", quote(got), want)
	}
	return err
}

// decodeTag reads the properties of the tag with this name.
func (a *Artifact) decodeTag(document []byte) (TagProperties, error) {
	t, h, err := decodeOne(document, "tag", scanTag)
	t.Registry, t.Repository = h.registry, h.repository
	return t, about(t.Name, a.tag, err)
}

// decodeManifest reads the properties of the manifest with this digest.
func decodeManifest(d digest.Digest) func([]byte) (ManifestProperties, error) {
	return func(document []byte) (ManifestProperties, error) {
		m, h, err := decodeOne(document, "manifest", scanManifest)
		m.Registry, m.Repository = h.registry, h.repository
		return m, about(string(m.Digest), string(d), err)
	}
}

// decodeProperties reads the properties of this repository.
func (r *Repository) decodeProperties(document []byte) (RepositoryProperties, error) {
	s := &scanner{data: document}
	p := RepositoryProperties{Attributes: allEnabled}
	err := s.document(func(k []byte) {
		switch string(k) {
		case "registry":
			p.Registry = string(s.text())
		case "imageName":
			p.Name = string(s.text())
		case "createdTime":
			p.CreatedTime = s.time()
		case "lastUpdateTime":
			p.LastUpdateTime = s.time()
		case "manifestCount":
			p.ManifestCount = int(s.int())
		case "tagCount":
			p.TagCount = int(s.int())
		case "changeableAttributes":
			scanAttributes(s, &p.Attributes, nil)
		default:
			s.skip()
		}
	})
	return p, about(p.Name, r.name, err)
}

func decodeDeletion(document []byte) (DeletedRepository, error) {
	var d DeletedRepository
	if len(document) == 0 {
		return d, nil
	}
	s := &scanner{data: document}
	err := s.document(func(k []byte) {
		switch string(k) {
		case "manifestsDeleted":
			d.Manifests = nil
			s.array(func() { d.Manifests = append(d.Manifests, digest.Digest(s.text())) })
		case "tagsDeleted":
			d.Tags = nil
			s.array(func() { d.Tags = append(d.Tags, string(s.text())) })
		default:
			s.skip()
		}
	})
	return d, err
}
