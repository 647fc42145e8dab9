package images_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/images"
)

// What a push costs: one access token, one HEAD request for a tag that is there already, and nothing that is sent twice.
func TestPushRequests(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	s.name(s.image("amd64", "one"), "single")
	s.multi()
	dir := s.dir()
	srv, client := newRegistry(t)
	for _, c := range []struct {
		name, tag string
		want      []string
	}{
		{"the first time", "single", []string{"HeadManifest", "HeadManifest", "StartUpload", "StartUpload", "PutManifest"}},
		{"again", "single", []string{"HeadManifest"}},
		{"an index", "v1", []string{"HeadManifest", "HeadManifest", "HeadManifest", "HeadManifest", "StartUpload", "StartUpload", "StartUpload", "StartUpload", "StartUpload", "PutManifest", "PutManifest", "PutManifest"}},
		{"an index again", "v1", []string{"HeadManifest", "HeadManifest", "HeadManifest"}},
	} {
		srv.Ledger().Reset()
		pushLayout(t, dir, c.tag, newClient(t, srv).Repository("team/"+c.tag), c.tag, nil)
		want := append([]string{"ExchangeEntraToken", "GetAccessToken"}, c.want...)
		var got []string
		for _, q := range srv.Ledger().Requests() {
			got = append(got, q.Operation)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", c.name, got, want)
		}
	}
	// Within a registry: a token for the source, one for the target, one for mounts from the one to the other, and one for the
	// properties of a tag that is not found.
	srv.Ledger().Reset()
	if _, err := images.Promote(t.Context(), client.Repository("team/v1"), "v1", client.Repository("prod/app"), "v1", nil); err != nil {
		t.Fatal(err)
	}
	if tokens, properties := srv.Ledger().Count("GetAccessToken"), srv.Ledger().Count("GetTagProperties"); tokens != 4 || properties != 1 {
		t.Errorf("%d tokens, and the properties of %d tags", tokens, properties)
	}
}

// An identity that may only read is told what it lacks, where something is to be pushed; where nothing is, it need not.
func TestPushReadOnly(t *testing.T) {
	t.Parallel()
	s := newStock(t)
	s.name(s.image("amd64", "one"), "v1")
	srv, admin := newRegistry(t, acrtest.WithRepositoryToken("reader", "sesame", "team/* content/read,metadata/read"))
	o := &acr.ClientOptions{ClientOptions: srv.ClientOptions(), AllowedHosts: []string{srv.Host()}}
	client, err := acr.NewClientWithPassword(srv.Endpoint(), "reader", "sesame", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	dir := s.dir()
	_, err = images.Push(t.Context(), dir, "v1", client.Repository("team/app"), "v1", nil)
	if e, ok := errors.AsType[*images.CopyError](err); !ok || e.Side != images.AtTarget || !errors.Is(err, acr.ErrMissingAction) {
		t.Errorf("%v", err)
	}
	pushLayout(t, dir, "v1", admin.Repository("team/app"), "v1", nil)
	if _, err := images.Push(t.Context(), dir, "v1", client.Repository("team/app"), "v1", nil); err != nil {
		t.Errorf("nothing is to be pushed: %v", err)
	}
	if _, err := images.Push(t.Context(), dir, "v1", client.Repository("other/app"), "v1", nil); !errors.Is(err, acr.ErrMissingAction) {
		t.Errorf("%v", err)
	}
}
