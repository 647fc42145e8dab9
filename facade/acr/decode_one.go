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

func decodeTag(document []byte) (TagProperties, error) {
	t, h, err := decodeOne(document, "tag", scanTag)
	t.Registry, t.Repository = h.registry, h.repository
	return t, err
}

func decodeManifest(document []byte) (ManifestProperties, error) {
	m, h, err := decodeOne(document, "manifest", scanManifest)
	m.Registry, m.Repository = h.registry, h.repository
	return m, err
}

func decodeRepository(document []byte) (RepositoryProperties, error) {
	s := &scanner{data: document}
	r := RepositoryProperties{Attributes: allEnabled}
	err := s.document(func(k []byte) {
		switch string(k) {
		case "registry":
			r.Registry = string(s.text())
		case "imageName":
			r.Name = string(s.text())
		case "createdTime":
			r.CreatedTime = s.time()
		case "lastUpdateTime":
			r.LastUpdateTime = s.time()
		case "manifestCount":
			r.ManifestCount = int(s.int())
		case "tagCount":
			r.TagCount = int(s.int())
		case "changeableAttributes":
			scanAttributes(s, &r.Attributes, nil)
		default:
			s.skip()
		}
	})
	return r, err
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
