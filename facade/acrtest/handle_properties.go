package acrtest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest/internal/store"
)

// The bodies of /acr/v1, with their keys in the order in which the service writes them.
type (
	attributes struct {
		DeleteEnabled     bool   `json:"deleteEnabled"`
		WriteEnabled      bool   `json:"writeEnabled"`
		ReadEnabled       bool   `json:"readEnabled"`
		ListEnabled       bool   `json:"listEnabled"`
		QuarantineState   string `json:"quarantineState,omitempty"`
		QuarantineDetails string `json:"quarantineDetails,omitempty"`
	}
	repositoryProperties struct {
		Registry   string     `json:"registry"`
		ImageName  string     `json:"imageName"`
		Created    time.Time  `json:"createdTime"`
		Updated    time.Time  `json:"lastUpdateTime"`
		Manifests  int        `json:"manifestCount"`
		Tags       int        `json:"tagCount"`
		Attributes attributes `json:"changeableAttributes"`
	}
	tagProperties struct {
		Name       string     `json:"name"`
		Digest     string     `json:"digest"`
		Created    time.Time  `json:"createdTime"`
		Updated    time.Time  `json:"lastUpdateTime"`
		Signed     bool       `json:"signed"`
		Attributes attributes `json:"changeableAttributes"`
	}
	reference struct {
		Digest       string `json:"digest"`
		Architecture string `json:"architecture"`
		OS           string `json:"os"`
	}
	manifestProperties struct {
		Digest          string      `json:"digest"`
		Deleted         *time.Time  `json:"deletedAt,omitempty"`
		ImageSize       int64       `json:"imageSize"`
		Created         time.Time   `json:"createdTime"`
		Updated         time.Time   `json:"lastUpdateTime"`
		Architecture    string      `json:"architecture,omitempty"`
		OS              string      `json:"os,omitempty"`
		MediaType       string      `json:"mediaType"`
		ConfigMediaType string      `json:"configMediaType,omitempty"`
		Tags            []string    `json:"tags,omitempty"`
		References      []reference `json:"references,omitempty"`
		Attributes      attributes  `json:"changeableAttributes"`
	}
)

func attributesOf(a store.Attributes) attributes {
	return attributes{
		DeleteEnabled: !a.DeleteDisabled, WriteEnabled: !a.WriteDisabled, ReadEnabled: !a.ReadDisabled, ListEnabled: !a.ListDisabled,
		QuarantineState: a.QuarantineState, QuarantineDetails: a.QuarantineDetails,
	}
}

func propertiesOfTag(t store.Tag) tagProperties {
	return tagProperties{
		Name: t.Name, Digest: t.Digest.String(), Created: t.Created, Updated: t.Updated, Attributes: attributesOf(t.Attributes),
	}
}

func propertiesOfManifest(m store.Manifest) manifestProperties {
	p := manifestProperties{
		Digest: m.Digest.String(), ImageSize: m.ImageSize, Created: m.Created, Updated: m.Updated,
		Architecture: m.Architecture, OS: m.OS, MediaType: m.MediaType, ConfigMediaType: m.ConfigMediaType, Tags: m.Tags,
		Attributes: attributesOf(m.Attributes),
	}
	for _, ref := range m.References {
		p.References = append(p.References, reference{Digest: ref.Digest.String(), Architecture: ref.Architecture, OS: ref.OS})
	}
	return p
}

// maxChange bounds the body of a change of attributes.
const maxChange = 1 << 20

// changeOf reads a change of attributes; it has answered when it returns false. Keys it does not
// know are left alone, and an empty body changes nothing.
func (o *operations) readChange(w http.ResponseWriter, r *http.Request) (c store.Change, ok bool) {
	var body struct {
		DeleteEnabled     *bool   `json:"deleteEnabled"`
		WriteEnabled      *bool   `json:"writeEnabled"`
		ReadEnabled       *bool   `json:"readEnabled"`
		ListEnabled       *bool   `json:"listEnabled"`
		QuarantineState   *string `json:"quarantineState"`
		QuarantineDetails *string `json:"quarantineDetails"`
	}
	if !o.decodeBody(w, r, &body) {
		return c, false
	}
	return store.Change{
		Delete: body.DeleteEnabled, Write: body.WriteEnabled, Read: body.ReadEnabled, List: body.ListEnabled,
		QuarantineState: body.QuarantineState, QuarantineDetails: body.QuarantineDetails,
	}, true
}

// decode reads a small JSON body; it has answered when it returns false.
func (o *operations) decodeBody(w http.ResponseWriter, r *http.Request, v any) bool {
	err := json.NewDecoder(io.LimitReader(r.Body, maxChange)).Decode(v)
	if err != nil && !errors.Is(err, io.EOF) {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "the request body is not the JSON object that is expected", nil)
		return false
	}
	return true
}
