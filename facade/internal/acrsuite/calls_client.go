package acrsuite

import (
	"context"
	"errors"
	"iter"

	"github.com/acrkit/acrkit/facade/acr"
)

// clientCalls are those of the registry as a whole.
var clientCalls = []Call{
	{Method: "Client.Ping", Kind: LoginCall, Op: "CheckSupport", run: func(ctx context.Context, f *Fixture) error { return f.Client.Ping(ctx) }},
	{Method: "Client.Login", Kind: LoginCall, Op: "ExchangeEntraToken", run: func(ctx context.Context, f *Fixture) error {
		l, err := f.Client.Login(ctx)
		Secrets.LookValue("a Login", l)
		return err
	}},
	{Method: "Client.AccessToken", Kind: LoginCall, Op: "GetAccessToken", Also: []string{"ExchangeEntraToken"}, run: func(ctx context.Context, f *Fixture) error {
		l, err := f.Client.AccessToken(ctx, "repository:"+f.Name+":pull")
		Secrets.LookValue("an access token", l)
		return err
	}},
	{Method: "Client.Doctor", Kind: ExamineCall, Op: "CheckSupport", Also: []string{"ListRepositories", "ListTagNames", "GetManifest", "HeadManifest", "GetBlob", "StartUpload", "CancelUpload"},
		takes: "name tag",
		run: func(ctx context.Context, f *Fixture) error {
			report, err := f.Client.Doctor(ctx, &acr.DoctorOptions{Repository: f.Name, Reference: f.Tag, TryPush: true})
			if err != nil {
				return err
			}
			Secrets.LookValue("a DoctorReport", report)
			raw, err := report.MarshalJSON()
			Secrets.LookHard("a DoctorReport as JSON", string(raw))
			return errors.Join(err, report.Err())
		}},
	{Method: "Client.Repositories", Kind: ListCall, Op: "ListRepositories", run: func(ctx context.Context, f *Fixture) error { return some(f.Client.Repositories(ctx, nil)) }},
	{Method: "Client.RepositoryNames", Kind: ListCall, Op: "ListRepositoryNames", run: func(ctx context.Context, f *Fixture) error { return some(f.Client.RepositoryNames(ctx, nil)) }},
	{Method: "Client.DeletedRepositories", Kind: ListCall, Op: "ListDeletedRepositories", Prepare: throwAway, run: func(ctx context.Context, f *Fixture) error {
		return some(f.Client.DeletedRepositories(ctx, nil))
	}},
	// A query is sent with POST, and its pages are not linked by a header: for the suites it is no list.
	{Method: "Client.QueryMetadata", Kind: WriteCall, Op: "QueryMetadata", run: func(ctx context.Context, f *Fixture) error {
		return some(f.Client.QueryMetadata(ctx, "Manifests | limit 1"))
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
func throwAway(f *Fixture) error {
	f.Deleted = f.Srv.SeedImage(f.T, f.Name+":gone")
	f.Srv.SeedImage(f.T, f.Name+"/gone:v1")
	if _, err := f.Client.Repository(f.Name + "/gone").Delete(f.Ctx); err != nil {
		return err
	}
	return f.Repository().DeleteManifest(f.Ctx, f.Deleted)
}
