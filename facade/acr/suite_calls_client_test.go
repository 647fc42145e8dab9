package acr_test

import (
	"context"
	"errors"
	"iter"

	"github.com/acrkit/acrkit/facade/acr"
)

// clientCalls are those of the registry as a whole.
var clientCalls = []call{
	{method: "Client.Ping", kind: loginCall, op: "CheckSupport", run: func(ctx context.Context, f *fixture) error { return f.client.Ping(ctx) }},
	{method: "Client.Login", kind: loginCall, op: "ExchangeEntraToken", run: func(ctx context.Context, f *fixture) error {
		l, err := f.client.Login(ctx)
		secrets.lookValue("a Login", l)
		return err
	}},
	{method: "Client.Doctor", kind: examineCall, op: "CheckSupport", also: []string{"ListRepositories", "ListTagNames", "GetManifest", "HeadManifest", "GetBlob", "StartUpload", "CancelUpload"},
		takes: "name tag",
		run: func(ctx context.Context, f *fixture) error {
			report, err := f.client.Doctor(ctx, &acr.DoctorOptions{Repository: f.name, Reference: f.tag, TryPush: true})
			if err != nil {
				return err
			}
			secrets.lookValue("a DoctorReport", report)
			raw, err := report.MarshalJSON()
			secrets.lookHard("a DoctorReport as JSON", string(raw))
			return errors.Join(err, report.Err())
		}},
	{method: "Client.Repositories", kind: listCall, op: "ListRepositories", run: func(ctx context.Context, f *fixture) error { return some(f.client.Repositories(ctx, nil)) }},
	{method: "Client.RepositoryNames", kind: listCall, op: "ListRepositoryNames", run: func(ctx context.Context, f *fixture) error { return some(f.client.RepositoryNames(ctx, nil)) }},
	{method: "Client.DeletedRepositories", kind: listCall, op: "ListDeletedRepositories", prepare: throwAway, run: func(ctx context.Context, f *fixture) error {
		return some(f.client.DeletedRepositories(ctx, nil))
	}},
}

// some demands that a list is not empty.
func some[T any](seq iter.Seq2[T, error]) error {
	all, err := acr.Collect(seq)
	if err == nil && len(all) == 0 {
		return errors.New("the list is empty")
	}
	return err
}

// throwAway puts an image into the recycle bin, and a whole repository too.
func throwAway(f *fixture) error {
	f.deleted = f.srv.SeedImage(f.t, f.name+":gone")
	f.srv.SeedImage(f.t, f.name+"/gone:v1")
	if _, err := f.client.Repository(f.name + "/gone").Delete(f.ctx); err != nil {
		return err
	}
	return f.repository().DeleteManifest(f.ctx, f.deleted)
}
