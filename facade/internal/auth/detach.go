package auth

import (
	"context"
	"reflect"
	"strings"

	"github.com/acrkit/acrkit/facade/internal/call"
	"github.com/acrkit/acrkit/facade/internal/observe"
)

// detach returns a context for a token request made on behalf of several callers: it does not end with ctx, and has its values (a trace to belong to) but for those
// that azcore and this module would act on: a header, a response capture or retry options of one caller's call are not for the token request.
// What it costs is counted for the caller who began it, and it is sent over the connections that this caller's requests use next.
func detach(ctx context.Context) context.Context {
	bare := observe.Carry(detached{context.WithoutCancel(ctx)}, ctx)
	pins := call.Of(ctx).Pins
	if len(pins) == 0 {
		return bare
	}
	return call.With(bare, func(c *call.Call) { c.Pins = pins })
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
