package retention_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/acrkit/acrkit/facade/internal/acrsuite"
	"github.com/acrkit/acrkit/facade/retention"
)

// Every fault of rules is found, and the error says where it is.
func TestFaultyRules(t *testing.T) {
	t.Parallel()
	acrsuite.Row(t, "A60 faulty rule", testFaultyRules)
}

func testFaultyRules(t *testing.T) {
	const del = `"delete":[{"name":"d","tags":{"glob":["*"]},"olderThan":"1d"}]`
	withDelete := func(rule string) string {
		return `{"version":1,"policies":[{"name":"p","repositories":{"glob":["*"]},"delete":[` + rule + `]}]}`
	}
	withKeep := func(rule string) string {
		return `{"version":1,"policies":[{"name":"p","repositories":{"glob":["*"]},"keep":[` + rule + `],` + del + `}]}`
	}
	age := func(a string) string { return withDelete(`{"name":"d","untagged":true,"olderThan":"` + a + `"}`) }
	for _, row := range []struct{ name, document, want string }{
		{"no version", `{"policies":[{"name":"p","repositories":{"glob":["*"]},` + del + `}]}`, "version"},
		{"no policies", `{"version":1,"policies":[]}`, "policies"},
		{"null", `null`, "null"},
		{"unknown member", `{"version":1,"polices":[]}`, "polices"},
		{"a member twice", `{"version":1,"version":1,"policies":[]}`, "twice"},
		{"a member in other letters", strings.Replace(withKeep(`{"name":"k","tags":{"glob":["a"]}}`), `"keep"`, `"Keep"`, 1), "Keep"},
		{"something behind", withDelete(`{"name":"d","untagged":true,"any":true}`) + "x", "document"},
		{"no name", `{"version":1,"policies":[{"repositories":{"glob":["*"]},` + del + `}]}`, "policies[0].name"},
		{"no repositories", `{"version":1,"policies":[{"name":"p",` + del + `}]}`, "policies[0].repositories"},
		{"no delete", `{"version":1,"policies":[{"name":"p","repositories":{"glob":["*"]}}]}`, "policies[0].delete"},
		{"empty pattern", `{"version":1,"policies":[{"name":"p","repositories":{"glob":[""]},` + del + `}]}`, "repositories.glob[0]"},
		{"regexp that does not compile", withDelete(`{"name":"d","tags":{"regexp":["("]},"any":true}`), "tags.regexp[0]"},
		{"two groups", withKeep(`{"name":"k","tags":{"regexp":["(a)(b)"]},"newest":1}`), "keep[0].tags.regexp[0]"},
		{"a group without newest", withKeep(`{"name":"k","tags":{"regexp":["(a)"]}}`), "keep[0].tags.regexp"},
		{"a group in a Delete rule", withDelete(`{"name":"d","tags":{"regexp":["(a)"]},"any":true}`), "delete[0].tags.regexp"},
		{"acr-cli-560 an age with a sign", age("-5d"), "-5d"},
		{"acr-cli-560 an age that overflows", age("9999999999d"), "hundred years"},
		{"acr-cli-560 twenty digits", age("99999999999999999999d"), "ten digits"},
		{"acr-cli-560 a sum with a sign", age("5d-200h"), "5d-200h"},
		{"a fraction", age("1.5d"), "1.5d"},
		{"nothing", age("0d"), "any"},
		{"an exponent", age("1e9h"), "1e9h"},
		{"no unit", age("30"), `"policies[0].delete[0].olderThan": invalid age "30": the unit`},
		{"a time without its day", withDelete(`{"name":"d","untagged":true,"before":"2026-01"}`), `"policies[0].delete[0].before": `},
		{"nothing at all", " \n", "document: it is empty"},
		{"cut", `{"version":1,"poli`, "document: it ends too early"},
		{"units out of order", age("5h1d"), "order"},
		{"empty age", age(""), "empty"},
		{"a long age", age("101w36500d"), "hundred years"},
		{"newest below zero", withKeep(`{"name":"k","tags":{"glob":["a"]},"newest":-1}`), "keep[0].newest"},
		{"a Keep that selects nothing", withKeep(`{"name":"k","newest":3}`), "keep[0]"},
		{"a Delete that selects nothing", withDelete(`{"name":"d","any":true}`), "delete[0]"},
		{"a Delete without an age", withDelete(`{"name":"d","untagged":true}`), "olderThan"},
		{"a Delete with two ages", withDelete(`{"name":"d","untagged":true,"any":true,"olderThan":"1d"}`), "olderThan"},
		{"a name twice", withDelete(`{"name":"d","untagged":true,"any":true},{"name":"d","orphans":true,"any":true}`), "delete[1].name"},
		{"a Keep that makes the Delete void", withKeep(`{"name":"k","tags":{"glob":["*"]}}`), "delete[0]"},
		{"exceptions that leave nothing", withDelete(`{"name":"d","tags":{"glob":["a"]},"exceptTags":{"glob":["a","b"]},"any":true}`), "exceptTags"},
		{"a policy that never governs", `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},` + del + `},{"name":"q","repositories":{"glob":["a/*"]},` + del + `}]}`, "policies[1].repositories"},
		{"versions of what has no tag", withKeep(`{"name":"k","untagged":true,"newest":1,"order":"semver"}`), "keep[0].order"},
		{"an unknown order", withKeep(`{"name":"k","tags":{"glob":["a"]},"newest":1,"order":"age"}`), "keep[0].order"},
		{"an unknown clock", withDelete(`{"name":"d","untagged":true,"any":true,"by":"pulled"}`), "delete[0].by"},
		{"the clock of untagging for tags", withDelete(`{"name":"d","tags":{"glob":["a"]},"any":true,"by":"untagged"}`), "delete[0].by"},
		{"untagOnly of manifests", withDelete(`{"name":"d","untagged":true,"any":true,"untagOnly":true}`), "untagOnly"},
		{"an unknown count", `{"version":1,"policies":[{"name":"p","repositories":{"glob":["*"]},"count":"layers",` + del + `}]}`, "policies[0].count"},
		{"grace and noGrace", `{"version":1,"policies":[{"name":"p","repositories":{"glob":["*"]},"grace":"1d","noGrace":true,` + del + `}]}`, "noGrace"},
		{"limits", `{"version":1,"policies":[{"name":"p","repositories":{"glob":["*"]},"limits":{"percent":101,"manifests":-1,"leaveTags":-2},` + del + `}]}`, "limits.percent"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r, err := retention.ParseRules([]byte(row.document))
			var faulty *retention.RulesError
			if !errors.As(err, &faulty) || !errors.Is(err, retention.ErrRules) || r != nil {
				t.Fatalf("%v", err)
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

func TestGoodRules(t *testing.T) {
	t.Parallel()
	for _, document := range []string{
		exampleRules,
		`{"version":1,"policies":[{"name":"p","repositories":{"regexp":["^apps/.*$"]},"noGrace":true,"count":"tags",
		  "keep":[{"name":"k","tags":{"regexp":["v?([0-9]+)\\..*"]},"newest":3,"order":"semver"},{"name":"l","exceptTags":{"glob":["pr-*"]},"since":"2026-01-01T00:00:00Z"}],
		  "delete":[{"name":"d","tags":{"glob":["*"]},"before":"2026-01-01T00:00:00Z","by":"created","untagOnly":true},{"name":"t","artifactTypes":["x/scan"],"any":true}]}]}`,
	} {
		if _, err := retention.ParseRules([]byte(document)); err != nil {
			t.Error(err)
		}
	}
	if err := retention.KeepNewest(3, retention.Day, "**").Check(); err != nil {
		t.Error(err)
	}
}

// What KeepNewest cannot refuse is refused by the check of its rules.
func TestKeepNewestFaults(t *testing.T) {
	t.Parallel()
	for want, rules := range map[string]*retention.Rules{
		"7ns is not a whole number of seconds":       retention.KeepNewest(3, 7, "**"),
		"it has no newest, within or since":          retention.KeepNewest(0, retention.Week, "**"),
		"exactly one of olderThan, before and any":   retention.KeepNewest(3, 0, "**"),
		"an age is from 0 to a hundred years":        retention.KeepNewest(3, -retention.Day, "**"),
		"repositories: at least one pattern":         retention.KeepNewest(3, retention.Week),
		"policies[0].keep[0].newest: it must not be": retention.KeepNewest(-1, retention.Week, "**"),
	} {
		if err := rules.Check(); !errors.Is(err, retention.ErrRules) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestAges(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]retention.Age{"30d": 30 * retention.Day, "2w": 14 * retention.Day, "36h": 36 * retention.Hour, "1d12h": 36 * retention.Hour, "1w2d3h4m5s": 9*retention.Day + 3*retention.Hour + 245e9, "0s": 0} {
		got, err := retention.ParseAge(text)
		if err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
		if again, err := retention.ParseAge(got.String()); err != nil || again != got {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add(exampleRules)
	f.Add(`{"version":1,"policies":[{"name":"p","repositories":{"glob":["*"]},"delete":[{"name":"d","untagged":true,"any":true}]}]}`)
	f.Fuzz(func(t *testing.T, document string) {
		r, err := retention.ParseRules([]byte(document))
		if err != nil {
			if !errors.Is(err, retention.ErrRules) {
				t.Error(err)
			}
			return
		}
		if _, err := retention.ParseRules(mustJSON(t, r)); err != nil {
			t.Errorf("%s: written again, they are faulty: %v", document, err)
		}
	})
}
