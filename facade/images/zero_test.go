package images_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/images"
)

// No method of a nil pointer or a zero value panics or hangs, and no function with nil arguments does.
func TestZeroValues(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		(*images.Layout)(nil), &images.Layout{}, (*images.Registry)(nil), &images.Registry{}, (*images.Repository)(nil), &images.Repository{},
		&images.CopyError{}, &images.TreeNode{}, images.Bytes{},
	} {
		for m := range reflect.TypeOf(v).Methods() {
			if m.Name != "Format" { // fmt calls it
				callWithZeros(t, fmt.Sprintf("%T.%s", v, m.Name), reflect.ValueOf(v).MethodByName(m.Name))
			}
		}
		_ = fmt.Sprintf("%v %+v %#v %s", v, v, v, v)
	}
	for name, f := range map[string]any{
		"Attach": images.Attach, "Copy": images.Copy, "Drift": images.Drift, "Files": images.Files, "Mirror": images.Mirror, "Of": images.Of, "OpenArchive": images.OpenArchive,
		"OpenLayout": images.OpenLayout, "Pack": images.Pack, "Promote": images.Promote, "Protect": images.Protect, "Pull": images.Pull, "Push": images.Push, "Tree": images.Tree,
		"Unprotect": images.Unprotect, "WaitReadable": images.WaitReadable, "WriteArchive": images.WriteArchive,
	} {
		callWithZeros(t, name, reflect.ValueOf(f))
	}
	for _, from := range []images.Source{(*images.Layout)(nil), &images.Layout{}, (*images.Repository)(nil), &images.Repository{}} {
		if _, err := images.Copy(t.Context(), from, "v1", &images.Repository{}, "v1", nil); !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("Copy from %T: %v", from, err)
		}
	}
	for _, to := range []images.Target{(*images.Layout)(nil), &images.Layout{}, (*images.Repository)(nil), &images.Repository{}} {
		if _, err := images.Copy(t.Context(), &images.Layout{}, "v1", to, "v1", nil); !errors.Is(err, acr.ErrInvalidArgument) {
			t.Errorf("Copy to %T: %v", to, err)
		}
	}
}

// callWithZeros calls a function with zero arguments, which must fail if it can.
func callWithZeros(t *testing.T, name string, f reflect.Value) {
	t.Helper()
	done := make(chan []reflect.Value, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("%s panics: %v", name, p)
				done <- nil
			}
		}()
		var args []reflect.Value
		for i := range f.Type().NumIn() {
			if in := f.Type().In(i); in == reflect.TypeFor[context.Context]() {
				args = append(args, reflect.ValueOf(t.Context()))
			} else if !f.Type().IsVariadic() || i < f.Type().NumIn()-1 {
				args = append(args, reflect.Zero(in))
			}
		}
		out := f.Call(args)
		for _, o := range out {
			if o.Kind() == reflect.Func && !o.IsNil() && o.Type().NumIn() == 1 && o.Type().In(0).Kind() == reflect.Func && o.Type().In(0).NumIn() == 2 {
				for range o.Seq2() {
				}
			}
		}
		done <- out
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Errorf("%s does not return", name)
	}
}
