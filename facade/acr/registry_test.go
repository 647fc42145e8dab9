package acr_test

import (
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
)

func TestSmoke(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	c := newClient(t, srv)
	ctx := t.Context()
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	d, err := c.Repository("a/b").PutManifest(ctx, "v1", []byte(indexManifest), nil)
	t.Log(d, err)
	all, err := acr.Collect(c.Repositories(ctx, nil))
	t.Log(all, err)
	tags, err := acr.Collect(c.Repository("a/b").Tags(ctx, nil))
	t.Log(tags, err)
}
