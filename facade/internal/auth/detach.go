package auth

import (
	"context"
	"reflect"
	"strings"

	"github.com/acrkit/acrkit/facade/internal/observe"
)

// detach returns a context for a token request made on behalf of several callers: it does not end with ctx, and has its values (a trace to belong to) but for those
// that azcore and this module would act on: a header, a response capture or retry options of one caller's call are not for the token request.
// What it costs is counted for the caller who began it.
func detach(ctx context.Context) context.Context {
	return observe.Carry(detached{context.WithoutCancel(ctx)}, ctx)
}

type detached struct{ context.Context }

func (d detached) Value(key any) any {
	if t := reflect.TypeOf(key); t != nil {
		path := t.PkgPath()
		if strings.HasPrefix(path, "github.com/Azure/azure-sdk-for-go/sdk/azcore/") || strings.HasPrefix(path, "github.com/acrkit/") {
			return nil
		}
	}
	return d.Context.Value(key)
}
