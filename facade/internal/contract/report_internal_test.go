package contract

import "testing"

func TestRequire(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		summary Summary
		excuses map[string]string
		want    string
	}{
		"all exercised":         {Summary{}, nil, ""},
		"a violation":           {Summary{Violations: []string{"x: y"}}, nil, "1 violations, the first: x: y"},
		"one missing":           {Summary{Missing: []string{"ListTags"}}, nil, "no test exercises ListTags, and no reason is given"},
		"one missing, excused":  {Summary{Missing: []string{"ListTags"}}, map[string]string{"ListTags": "preview"}, ""},
		"an excuse, not needed": {Summary{}, map[string]string{"ListTags": "preview"}, "ListTags is exercised or unknown: strike it from the excuses"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if err := tc.summary.require(tc.excuses); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
