package kql_test

import (
	"encoding/json"
	"testing"

	"github.com/acrkit/acrkit/facade/acrtest/internal/kql"
)

func TestQueries(t *testing.T) {
	t.Parallel()
	rows := []kql.Row{
		{"digest": "a", "imageSize": int64(10), "os": "linux"},
		{"digest": "b", "imageSize": int64(300), "os": "linux", "annotations": map[string]string{"org.who": "wabbit"}},
		{"digest": "c", "imageSize": int64(20)},
	}
	for _, tc := range []struct{ query, want string }{
		{"Manifests | project digest", `[{"digest":"a"},{"digest":"b"},{"digest":"c"}]`},
		{"Manifests|limit 1|project digest", `[{"digest":"a"}]`},
		{"Manifests | take 9 | count", `[{"Count":3}]`},
		{"Manifests | where imageSize >= 20 | project digest,imageSize", `[{"digest":"b","imageSize":300},{"digest":"c","imageSize":20}]`},
		{"Manifests | where os == 'linux' and imageSize < 100 | project digest", `[{"digest":"a"}]`},
		{"Manifests | where os != 'linux' | project digest, os", `[{"digest":"c"}]`},
		{"Manifests | order by imageSize desc | project digest", `[{"digest":"b"},{"digest":"c"},{"digest":"a"}]`},
		{"Manifests | sort by imageSize asc | project digest", `[{"digest":"a"},{"digest":"c"},{"digest":"b"}]`},
		{"Manifests | sort by os | project digest", `[{"digest":"a"},{"digest":"b"},{"digest":"c"}]`},
		{`Manifests | where annotations["org.who"] == 'wabbit' | project digest`, `[{"digest":"b"}]`},
	} {
		q, err := kql.Parse(tc.query)
		if err != nil {
			t.Errorf("%s: %v", tc.query, err)
			continue
		}
		if got, err := json.Marshal(q.Run(rows)); err != nil || string(got) != tc.want || q.Table != "Manifests" {
			t.Errorf("%s: %s, %v, want %s", tc.query, got, err, tc.want)
		}
	}
}

func TestBadQueries(t *testing.T) {
	t.Parallel()
	for _, query := range []string{
		"", "| limit 1", "Manifests limit 1", "Manifests |", "Manifests | limit", "Manifests | limit x", "Manifests | where os", "Manifests | where os = 'x'",
		"Manifests | where os == 'x' or os == 'y'", "Manifests | order by", "Manifests | order by a, b", "Manifests | project", "Manifests | project a,",
		"Manifests | project a b", "Manifests | summarize count()", "Manifests | where os has 'x'", "Manifests | where 'x", "drop table; ",
	} {
		if q, err := kql.Parse(query); err == nil {
			t.Errorf("%q is taken for a query of %q", query, q.Table)
		}
	}
}
