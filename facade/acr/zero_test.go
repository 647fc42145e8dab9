package acr_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/acrkit/acrkit/facade/acr"
)

// No method of a nil pointer or a zero value panics, and each that can fail says what is wrong.
func TestZeroValues(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		(*acr.Client)(nil), &acr.Client{}, (*acr.Repository)(nil), &acr.Repository{}, (*acr.Artifact)(nil), &acr.Artifact{},
		(*acr.Client)(nil).Repository("a"), (&acr.Client{}).Repository("a"), (*acr.Repository)(nil).Artifact("v1"), (&acr.Client{}).Repository("a").Artifact("v1"),
		(*acr.Governor)(nil), &acr.Governor{}, &acr.Error{}, &acr.ArgumentError{}, acr.Progress{},
		(*acr.BlobWriter)(nil), &acr.BlobWriter{}, (*acr.BlobReader)(nil), &acr.BlobReader{}, (*acr.BlobReaderAt)(nil), &acr.BlobReaderAt{},
	} {
		value := reflect.ValueOf(v)
		for m := range value.Type().Methods() {
			if m.Name == "Format" {
				continue // fmt calls it
			}
			call(t, value, m)
		}
		_ = fmt.Sprintf("%v %+v %#v %s", v, v, v, v)
	}
}

// call calls a method with zero arguments.
func call(t *testing.T, value reflect.Value, m reflect.Method) {
	t.Helper()
	name := fmt.Sprintf("%s.%s", value.Type(), m.Name)
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s of a zero value panics: %v", name, p)
		}
	}()
	f := value.MethodByName(m.Name)
	var args []reflect.Value
	for i := range f.Type().NumIn() {
		if in := f.Type().In(i); in.String() == "context.Context" {
			args = append(args, reflect.ValueOf(t.Context()))
		} else if i < f.Type().NumIn()-1 || !f.Type().IsVariadic() {
			args = append(args, reflect.Zero(in))
		}
	}
	for _, out := range f.Call(args) {
		err, ok := reflect.TypeAssert[error](out)
		switch {
		case ok && !errors.Is(err, acr.ErrInvalidArgument):
			t.Errorf("%s: %v", name, err)
		case out.Type().String() == "error" && out.IsNil():
			t.Errorf("%s of a zero value succeeds", name)
		case out.Kind() == reflect.Func && out.Type().NumIn() == 1 && !out.IsNil():
			for k, v := range out.Seq2() {
				if err, ok := reflect.TypeAssert[error](v); !ok || !errors.Is(err, acr.ErrInvalidArgument) {
					t.Errorf("%s yields %v and %v", name, k, v)
				}
			}
		}
	}
}

// A manifest that is nil or empty is malformed, and a governor that nobody made is refused before a request needs it.
func TestZeroManifestAndGovernor(t *testing.T) {
	t.Parallel()
	for _, m := range []*acr.Manifest{nil, {}} {
		_, image := m.Image()
		_, index := m.Index()
		if !errors.Is(image, acr.ErrManifestMalformed) || !errors.Is(index, acr.ErrManifestMalformed) {
			t.Errorf("%v, %v", image, index)
		}
	}
	if _, err := acr.NewClient("myregistry.azurecr.io", nil, &acr.ClientOptions{Governor: &acr.Governor{}}); !errors.Is(err, acr.ErrInvalidArgument) {
		t.Error(err)
	}
}
