package retention_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/retention"
)

// plainPlan is a plan without its methods.
type plainPlan retention.Plan

// fill sets every member of a value to something that is not its zero value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0)) // the other one stays empty
	case reflect.Struct:
		if _, isTime := reflect.TypeAssert[time.Time](v); isTime {
			v.Set(reflect.ValueOf(time.Unix(1, 1).UTC()))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case reflect.String:
		v.SetString("<&\u2028\"é>")
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(time.Hour))
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic(v.Type())
	}
}

// A plan is written as encoding/json writes it, and its ID is the digest of that.
func TestPlanAsJSON(t *testing.T) {
	t.Parallel()
	full, lists, empty := &retention.Plan{}, &retention.Plan{}, &retention.Plan{Repositories: []*retention.RepositoryPlan{nil, {}}}
	fill(reflect.ValueOf(full).Elem())
	full.Repositories[1] = &retention.RepositoryPlan{Delete: []retention.Manifest{}, Untag: []retention.Tag{}, Keep: []retention.Kept{}, Findings: []retention.Finding{}}
	lists.Repositories = []*retention.RepositoryPlan{}
	for _, p := range []*retention.Plan{full, lists, empty, {}, nil} {
		want := mustJSON(t, (*plainPlan)(p))
		if got := p.ID(); got != digest.FromBytes(want) {
			t.Errorf("the ID %s is not that of %s", got, want)
		}
		if p != nil {
			want = fmt.Appendf(want[:len(want)-1], `,"id":%q}`, p.ID())
		}
		if got := mustJSON(t, p); !bytes.Equal(got, want) {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
	full.Made = full.Made.AddDate(9999, 0, 0) // which JSON cannot hold
	if _, err := json.Marshal(full); err == nil || full.ID() != "" {
		t.Errorf("%v, %s", err, full.ID())
	}
}
