package acr

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/internal/jsonscan"
	"github.com/acrkit/acrkit/facade/internal/wire"
)

// decoder appends the entries of a page to into, whose memory is reused for each page.
type decoder[T any] func(page reply, into []T) ([]T, error)

// allEnabled are the attributes of a response that has none.
var allEnabled = Attributes{DeleteEnabled: true, WriteEnabled: true, ListEnabled: true, ReadEnabled: true}

// heading is what surrounds the entries of a list: the names of the registry and the repository.
type heading struct{ registry, repository string }

// What a page may consist of. Registries send at most a thousand entries; of real ones no more fit
// into a page. A page of tiny ones would become fifty times as large in memory.
const (
	maxEntries = 50_000    // entries with properties
	maxNames   = 200_000   // names, or tags of one manifest
	maxDeleted = 1_000_000 // names of what was deleted, which was done already
)

// room fails if a list has as many entries as it may have.
func room(s *jsonscan.Scanner, has, most int) bool {
	if has >= most {
		s.Fail("more than %d entries", most)
		return false
	}
	return true
}

// decodeList reads {"registry":…,"imageName":…,"<key>":[entries]}. The heading may follow the
// entries; complete adds it to them.
func decodeList[T any](page reply, into []T, key string, entry func(*jsonscan.Scanner, *T, *T), complete func(*T, heading)) ([]T, error) {
	s := jsonscan.New(page.body)
	var h heading
	var none, last T
	found := page.header.Get("Link") != "" // the list, or something else that a registry's response has
	start, most := len(into), maxEntries
	if complete == nil {
		most = maxNames
	}
	err := s.Document(func(k []byte) {
		switch string(k) {
		case "registry":
			h.registry, found = reported(s), true
		case "imageName", "name":
			h.repository, found = reported(s), true
		case key:
			found = true
			into, last = into[:start], none // if a member occurs twice, the last one counts, as in encoding/json
			s.Array(func() {
				if !room(s, len(into)-start, most) {
					return
				}
				into = append(into, none)
				v := &into[len(into)-1]
				entry(s, v, &last)
				last = *v
			})
		default:
			s.Skip()
		}
	})
	if complete != nil {
		for i := range into {
			complete(&into[i], h)
		}
	}
	if err == nil && !found { // nobody may take the document of somebody else for an empty list
		err = lacks(key)
	}
	if h.repository != "" && page.name != "" { // nor, for want of a name, the list of another repository
		err = checkRequested(h.repository, page.name, err)
	}
	return into, err
}

func decodeTags(page reply, into []TagProperties) ([]TagProperties, error) {
	return decodeList(page, into, "tags", func(s *jsonscan.Scanner, t, last *TagProperties) {
		scanTag(s, t, last)
		named(s, t.Name)
	}, func(t *TagProperties, h heading) { t.Registry, t.Repository = h.registry, h.repository })
}

// decodeTagsOf leaves out the tags of other manifests, which a registry or cache lists that ignores the filter: who asks for
// the tags of one manifest may be about to delete them.
func decodeTagsOf(d digest.Digest) decoder[TagProperties] {
	return func(page reply, into []TagProperties) ([]TagProperties, error) {
		start := len(into)
		items, err := decodeTags(page, into)
		kept := slices.DeleteFunc(items[start:], func(t TagProperties) bool { return t.Digest != "" && t.Digest != d })
		return items[:start+len(kept)], err
	}
}

func decodeManifests(page reply, into []ManifestProperties) ([]ManifestProperties, error) {
	return decodeList(page, into, "manifests", func(s *jsonscan.Scanner, m, last *ManifestProperties) {
		scanManifest(s, m, last)
		named(s, string(m.Digest))
	}, func(m *ManifestProperties, h heading) { m.Registry, m.Repository = h.registry, h.repository })
}

// named fails for an entry without a name: it is useless, and three bytes of a page would become
// hundreds in memory. It also fails for a name that cannot be one: callers print names, and make
// paths of them.
func named(s *jsonscan.Scanner, name string) {
	switch {
	case name == "":
		s.Fail("an entry has no name or digest")
	case !nameable(name):
		s.Fail("%s is not a name", quote(name))
	}
}

// nameable reports whether a text can be a name, tag or digest that is safe to print and to make a path of.
func nameable(name string) bool {
	return len(name) <= maxNameLength && wire.IsVisible(name) && !strings.Contains(name, `\`) && !slices.ContainsFunc(strings.Split(name, "/"), dots)
}

// reported returns a text that describes an entry: a host, a media type, a digest that is no name. It fails for what is no
// word, since callers print it.
func reported(s *jsonscan.Scanner) string { return reportedAs(s, "") }

// reportedAs is reported for a text that is often the same as that of the last entry.
func reportedAs(s *jsonscan.Scanner, last string) string {
	text := s.Keep(last)
	if !wire.IsVisible(text) {
		s.Fail("%s has characters that are not printed", quote(text))
	}
	return text
}

// dots reports whether an element of a path leads elsewhere.
func dots(element string) bool { return element == "" || element == "." || element == ".." }

// decodeNames reads the names of repositories or tags.
func decodeNames(key string) decoder[string] {
	return func(page reply, into []string) ([]string, error) {
		return decodeList(page, into, key, func(s *jsonscan.Scanner, v, _ *string) {
			*v = string(s.Text())
			named(s, *v)
		}, nil)
	}
}

// scanTag reads one tag; last is the one before it.
func scanTag(s *jsonscan.Scanner, t, last *TagProperties) {
	t.Attributes = allEnabled
	s.Object(func(k []byte) {
		switch string(k) {
		case "name":
			t.Name = string(s.Text())
		case "digest":
			t.Digest = digest.Digest(reportedAs(s, string(last.Digest)))
		case "createdTime":
			t.CreatedTime = s.Time()
		case "lastUpdateTime":
			t.LastUpdateTime = s.Time()
		case "signed":
			t.Signed = s.Bool(false)
		case "changeableAttributes":
			scanAttributes(s, &t.Attributes, nil)
		default:
			s.Skip()
		}
	})
}

// scanManifest reads one manifest; last is the one before it.
func scanManifest(s *jsonscan.Scanner, m, last *ManifestProperties) {
	m.Attributes = allEnabled
	s.Object(func(k []byte) {
		if scanManifestMember(s, string(k), m, last) {
			return
		}
		s.Skip()
	})
}

// scanManifestMember reads one member of a manifest's properties, and reports whether it is known.
func scanManifestMember(s *jsonscan.Scanner, key string, m, last *ManifestProperties) bool {
	switch key {
	case "digest":
		m.Digest = digest.Digest(s.Text())
	case "imageSize":
		m.Size = s.Int()
	case "createdTime":
		m.CreatedTime = s.Time()
	case "lastUpdateTime":
		m.LastUpdateTime = s.Time()
	case "mediaType":
		m.MediaType = reportedAs(s, last.MediaType)
	case "configMediaType":
		m.ConfigMediaType = reportedAs(s, last.ConfigMediaType)
	case "architecture":
		m.Architecture = reportedAs(s, last.Architecture)
	case "os":
		m.OS = reportedAs(s, last.OS)
	case "tags":
		m.Tags = nil
		s.Array(func() {
			if room(s, len(m.Tags), maxNames) {
				m.Tags = append(m.Tags, reported(s))
			}
		})
	case "references":
		m.References = nil
		s.Array(func() {
			if !room(s, len(m.References), maxDescriptors) {
				return
			}
			r := scanReference(s)
			if named(s, string(r.Digest)); r.Digest != "" {
				m.References = append(m.References, r)
			}
		})
	case "changeableAttributes":
		scanAttributes(s, &m.Attributes, m)
	default:
		return false
	}
	return true
}

func scanReference(s *jsonscan.Scanner) (r ManifestReference) {
	s.Object(func(k []byte) {
		switch string(k) {
		case "digest":
			r.Digest = digest.Digest(s.Text())
		case "architecture":
			r.Architecture = reported(s)
		case "os":
			r.OS = reported(s)
		default:
			s.Skip()
		}
	})
	return r
}

// scanAttributes reads the four attributes. For a manifest they include those of the quarantine.
func scanAttributes(s *jsonscan.Scanner, a *Attributes, m *ManifestProperties) {
	*a = allEnabled
	if m != nil {
		m.QuarantineState, m.QuarantineDetails = "", ""
	}
	s.Object(func(k []byte) {
		switch key := string(k); {
		case key == "deleteEnabled":
			a.DeleteEnabled = s.Bool(true)
		case key == "writeEnabled":
			a.WriteEnabled = s.Bool(true)
		case key == "listEnabled":
			a.ListEnabled = s.Bool(true)
		case key == "readEnabled":
			a.ReadEnabled = s.Bool(true)
		case key == "quarantineState" && m != nil:
			m.QuarantineState = reported(s)
		case key == "quarantineDetails" && m != nil:
			m.QuarantineDetails = string(s.Text())
		default:
			s.Skip()
		}
	})
}

// decodeOne reads {"registry":…,"imageName":…,"<key>":{entry}}.
func decodeOne[T any](document []byte, key string, entry func(*jsonscan.Scanner, *T, *T)) (v T, h heading, err error) {
	s := jsonscan.New(document)
	var none T
	found := false
	err = s.Document(func(k []byte) {
		switch string(k) {
		case "registry":
			h.registry = reported(s)
		case "imageName":
			h.repository = reported(s)
		case key:
			found, v = true, none
			entry(s, &v, &none)
		default:
			s.Skip()
		}
	})
	if err == nil && !found {
		err = lacks(key)
	}
	return v, h, err
}

// checkRequested fails if a response describes something else than was requested.
func checkRequested(got, want string, err error) error {
	if err == nil && got != want {
		return contradicts(ErrMalformedReply, "it describes %s instead of %s", quote(got), want)
	}
	return err
}

// decodeTag reads the properties of the tag with this name.
func (a *Artifact) decodeTag(document []byte) (TagProperties, error) {
	t, h, err := decodeOne(document, "tag", scanTag)
	t.Registry, t.Repository = h.registry, h.repository
	return t, checkRequested(t.Name, a.tag, err)
}

// decodeManifest reads the properties of the manifest with this digest.
func decodeManifest(d digest.Digest) func([]byte) (ManifestProperties, error) {
	return func(document []byte) (ManifestProperties, error) {
		m, h, err := decodeOne(document, "manifest", scanManifest)
		m.Registry, m.Repository = h.registry, h.repository
		return m, checkRequested(string(m.Digest), string(d), err)
	}
}

// decodeProperties reads the properties of this repository.
func (r *Repository) decodeProperties(document []byte) (RepositoryProperties, error) {
	s := jsonscan.New(document)
	p := RepositoryProperties{Attributes: allEnabled}
	err := s.Document(func(k []byte) {
		switch string(k) {
		case "registry":
			p.Registry = reported(s)
		case "imageName":
			p.Name = string(s.Text())
		case "createdTime":
			p.CreatedTime = s.Time()
		case "lastUpdateTime":
			p.LastUpdateTime = s.Time()
		case "manifestCount":
			p.ManifestCount = int(s.Int())
		case "tagCount":
			p.TagCount = int(s.Int())
		case "changeableAttributes":
			scanAttributes(s, &p.Attributes, nil)
		default:
			s.Skip()
		}
	})
	return p, checkRequested(p.Name, r.name, err)
}
