package retention_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/retention"
)

// doing is a transport that is one function.
type doing func(*http.Request) (*http.Response, error)

func (f doing) Do(req *http.Request) (*http.Response, error) { return f(req) }

// A call that fails does not make the clock unknown: Make and Apply return why it failed.
func TestClockIsNotTheCause(t *testing.T) {
	t.Parallel()
	errNetwork := errors.New("no route to host")
	for _, row := range []struct {
		name   string
		client func(w *world) *acr.Client
		refuse func(srv *acrtest.Server)
		cancel bool
		want   error
	}{
		{name: "sign-in refused", client: func(w *world) *acr.Client {
			user, _ := w.srv.Admin()
			return w.clientOf(user, "wrong")
		}, want: acr.ErrWrongPassword},
		{name: "no network", client: func(w *world) *acr.Client {
			return newClientVia(w.t, w.srv, doing(func(*http.Request) (*http.Response, error) { return nil, errNetwork }))
		}, want: errNetwork},
		{name: "context canceled", cancel: true, want: context.Canceled},
		{name: "firewall", refuse: func(srv *acrtest.Server) {
			srv.On("ListRepositoryNames").Always().Status(http.StatusForbidden).Code("DENIED", "client with IP '10.0.0.1' is not allowed access. Refer https://aka.ms/acr/firewall to grant access")
		}, want: acr.ErrDenied},
		{name: "throttled", refuse: func(srv *acrtest.Server) {
			srv.On("ListRepositoryNames").Always().Status(http.StatusTooManyRequests).Code("TOOMANYREQUESTS", "slow down")
		}, want: acr.ErrThrottled},
		{name: "no date", client: func(w *world) *acr.Client {
			return newClientVia(w.t, w.srv, doing(func(req *http.Request) (*http.Response, error) {
				resp, err := w.http.Do(req)
				if err == nil {
					resp.Header.Del("Date")
				}
				return resp, err
			}))
		}, want: retention.ErrClock},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.oldAndLast()
			r := rulesOf(t, `"delete":[`+oldTags+`]`)
			plan := w.plan(r)
			c := w.client()
			if row.client != nil {
				c = row.client(w)
			}
			if row.refuse != nil {
				row.refuse(w.srv)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if row.cancel {
				cancel()
			}
			_, made := retention.Make(ctx, c, r, &retention.PlanOptions{Repositories: []string{repository}})
			_, applied := retention.Apply(ctx, c, plan, &retention.ApplyOptions{Journal: io.Discard})
			for _, err := range []error{made, applied} {
				if !errors.Is(err, row.want) || errors.Is(err, retention.ErrClock) != (row.want == retention.ErrClock) { //nolint:errorlint // one of the table
					t.Error(err)
				}
			}
		})
	}
}

// An identity that may not list the repositories can plan and clean up those that are named: the refusal
// has a date too.
func TestClockOfARefusedList(t *testing.T) {
	t.Parallel()
	w := newWorld(t, acrtest.WithRepositoryToken("job", "secret", repository+" content/read,content/delete,metadata/read"))
	w.oldAndLast()
	c := w.clientOf("job", "secret")
	r := rulesOf(t, `"delete":[`+oldTags+`]`)
	if _, err := retention.Make(t.Context(), c, r, nil); !errors.Is(err, acr.ErrCatalogRole) || errors.Is(err, retention.ErrClock) {
		t.Error(err)
	}
	p, err := retention.Make(t.Context(), c, r, &retention.PlanOptions{Repositories: []string{repository}})
	if err != nil {
		t.Fatal(err)
	}
	if result := w.apply(c, p, nil); !result.Complete() || result.Repositories[0].Deleted != 1 {
		t.Errorf("%s", mustJSON(t, result))
	}
}

// clientOf is a client that signs in with a password.
func (w *world) clientOf(username, password string) *acr.Client {
	w.t.Helper()
	c, err := acr.NewClientWithPassword(w.srv.Endpoint(), username, password, &acr.ClientOptions{ClientOptions: w.srv.ClientOptions(), AllowedHosts: []string{w.srv.Host()}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.CloseIdleConnections)
	return c
}
