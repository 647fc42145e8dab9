package retention_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
	"github.com/acrkit/acrkit/facade/retention"
)

// outcome is what must be left of an accident's repository.
type outcome struct {
	stays []digest.Digest
	tags  []string // all of them
	goes  []digest.Digest
}

// client is a client of the registry, whose exchanges are held against the document unless that does not know what the test
// has pushed.
func (w *world) client() *acr.Client {
	if w.strange {
		return newClientVia(w.t, w.srv, w.http)
	}
	return newClient(w.t, w.srv)
}

// clean makes a plan and applies it.
func (w *world) clean(r *retention.Rules, opts *retention.PlanOptions) (*retention.Plan, *retention.Result) {
	w.t.Helper()
	c := w.client()
	if opts == nil {
		opts = &retention.PlanOptions{}
	}
	p, err := retention.Make(w.t.Context(), c, r, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return p, w.apply(c, p, &retention.ApplyOptions{InUse: opts.InUse, Cache: opts.Cache})
}

// apply applies a plan.
func (w *world) apply(c *acr.Client, p *retention.Plan, opts *retention.ApplyOptions) *retention.Result {
	w.t.Helper()
	if opts == nil {
		opts = &retention.ApplyOptions{}
	}
	if opts.Journal == nil {
		opts.Journal = &bytes.Buffer{}
	}
	result, err := retention.Apply(w.t.Context(), c, p, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

// demand compares what is left with an outcome.
func (w *world) demand(o outcome) {
	w.t.Helper()
	s := w.shoot(repository)
	for _, d := range o.stays {
		if _, ok := s.manifests[d]; !ok {
			w.t.Errorf("%s was lost", d)
		}
	}
	for _, d := range o.goes {
		if _, ok := s.manifests[d]; ok {
			w.t.Errorf("%s is still there", d)
		}
	}
	var tags []string
	for name := range s.tags {
		tags = append(tags, name)
	}
	slices.Sort(tags)
	slices.Sort(o.tags)
	if !slices.Equal(tags, o.tags) {
		w.t.Errorf("tags %v, want %v", tags, o.tags)
	}
}

// rulesOf is a policy for all repositories as JSON, with these members.
func rulesOf(t testing.TB, members string) *retention.Rules {
	t.Helper()
	return rules(t, `{"version":1,"policies":[{"name":"p","repositories":{"glob":["**"]},"limits":{"percent":100},`+members+`}]}`)
}

const (
	untagged = `{"name":"untagged","untagged":true,"olderThan":"7d"}`
	oldTags  = `{"name":"old","tags":{"glob":["*"]},"olderThan":"30d"}`
	orphans  = `{"name":"orphans","orphans":true,"olderThan":"7d"}`
)

// put pushes a manifest without a tag, or with one.
func (w *world) put(m *manifest, tags ...string) digest.Digest {
	d := w.push(repository, "", m)
	for _, tag := range tags {
		w.tag(repository, tag, d)
	}
	return d
}

// Accidents that were published, of other tools and other registries. Each builds what was lost, and demands that it stays.
func TestAccident(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, rules string
		build       func(w *world) outcome
	}{
		{"acr-cli-131 ecr-1466 images of a tagged index", `"delete":[` + untagged + `]`, func(w *world) outcome {
			a, b, loose := w.put(w.image()), w.put(w.image()), w.put(w.image())
			i := w.put(w.index(a, b), "v1")
			w.days(90)
			return outcome{[]digest.Digest{a, b, i}, []string{"v1"}, []digest.Digest{loose}}
		}},
		{"acr-cli-133 signatures and SBOMs", `"delete":[` + untagged + `,` + orphans + `]`, func(w *world) outcome {
			image := w.put(w.image(), "v1")
			sig := w.put(w.referrer("sig", image))
			sbom := w.put(w.referrer("sbom", image))
			of := w.put(w.referrer("sig", sbom))
			w.days(90)
			return outcome{[]digest.Digest{image, sig, sbom, of}, []string{"v1"}, nil}
		}},
		{"acr-cli-579 young untagged manifests", `"noGrace":true,"delete":[` + untagged + `]`, func(w *world) outcome {
			old := w.put(w.image())
			w.days(10)
			young := w.put(w.image())
			return outcome{[]digest.Digest{young}, nil, []digest.Digest{old}}
		}},
		{"acr-cli-70 acr-495 locks", `"delete":[` + oldTags + `,` + untagged + `]`, func(w *world) outcome {
			byTag, byManifest, write := w.put(w.image(), "tag", "other"), w.put(w.image(), "manifest"), w.put(w.image(), "write")
			goes := w.put(w.image(), "goes")
			last := w.put(w.image(), "z")
			w.patch(repository, "tag", locked)
			w.patch(repository, string(byManifest), locked)
			w.patch(repository, "write", `{"writeEnabled":false}`)
			w.days(90)
			return outcome{[]digest.Digest{byTag, byManifest, write, last}, []string{"tag", "manifest", "write", "z"}, []digest.Digest{goes}}
		}},
		{"acr-cli-HEAD-a images of a locked index", `"delete":[` + oldTags + `,` + untagged + `]`, func(w *world) outcome {
			a := w.put(w.image())
			i := w.put(w.index(a), "v1")
			last := w.put(w.image(), "z")
			w.patch(repository, string(i), locked)
			w.days(90)
			return outcome{[]digest.Digest{a, i, last}, []string{"v1", "z"}, nil}
		}},
		{"acr-cli-210 MeshWeaver-PR4081 the newest of all and not of the old", `"keep":[{"name":"k","tags":{"glob":["*"]},"newest":10}],"delete":[` + oldTags + `]`, func(w *world) outcome {
			var o outcome
			for n := range 20 {
				d, tag := w.put(w.image()), fmt.Sprintf("t%02d", n)
				w.tag(repository, tag, d)
				if n < 5 {
					o.goes = append(o.goes, d)
				} else {
					o.stays, o.tags = append(o.stays, d), append(o.tags, tag)
				}
				if n == 4 {
					w.days(40)
				}
			}
			return o
		}},
		{"acr-cli-HEAD-b images of an index that is kept by count", `"keep":[{"name":"k","untagged":true,"newest":1}],"delete":[` + untagged + `]`, func(w *world) outcome {
			a := w.put(w.image())
			w.days(1)
			i := w.put(w.index(a))
			w.days(90)
			return outcome{[]digest.Digest{a, i}, nil, nil}
		}},
		{"acr-cli-HEAD-d manifests of a push that is under way", `"delete":[{"name":"u","untagged":true,"any":true}]`, func(w *world) outcome {
			a, b := w.put(w.image()), w.put(w.image())
			return outcome{[]digest.Digest{a, b}, nil, nil}
		}},
		{"acr-cli-HEAD-e patterns match whole names", `"delete":[{"name":"d","tags":{"regexp":["1.0"]},"olderThan":"30d"}]`, func(w *world) outcome {
			other, goes := w.put(w.image(), "21.0x"), w.put(w.image(), "1.0")
			last := w.put(w.image(), "z")
			w.days(90)
			return outcome{[]digest.Digest{other, last}, []string{"21.0x", "z"}, []digest.Digest{goes}}
		}},
		{"instantdb-PR2759 one pattern is enough", `"delete":[{"name":"d","tags":{"glob":["a*","b*"]},"olderThan":"30d"}]`, func(w *world) outcome {
			a, b, z := w.put(w.image(), "a1"), w.put(w.image(), "b1"), w.put(w.image(), "z")
			w.days(90)
			return outcome{[]digest.Digest{z}, []string{"z"}, []digest.Digest{a, b}}
		}},
		{"bsherman-8 regclient-PR1010 cosign tags of an image that stays", `"delete":[` + `{"name":"d","tags":{"glob":["*"]},"exceptTags":{"glob":["v1"]},"olderThan":"1d"},` + untagged + `,` + orphans + `]`, func(w *world) outcome {
			goes := w.put(w.image(), "x")
			w.days(1)
			image := w.put(w.image(), "v1")
			o := outcome{stays: []digest.Digest{image}, tags: []string{"v1"}, goes: []digest.Digest{goes}}
			for _, suffix := range []string{"", ".sig", ".att", ".sbom"} {
				o.stays = append(o.stays, w.put(w.image(), cosign(image, suffix)))
				o.tags = append(o.tags, cosign(image, suffix))
				o.goes = append(o.goes, w.put(w.image(), cosign(goes, suffix)))
			}
			w.days(90)
			return o
		}},
		{"cosign-507 a signature that was replaced", `"delete":[{"name":"d","tags":{"glob":["a"]},"olderThan":"1d"},` + untagged + `]`, func(w *world) outcome {
			image := w.put(w.image(), "a")
			last := w.put(w.image(), "z")
			first := w.put(w.image(), cosign(image, ".sig"))
			second := w.put(w.image(), cosign(image, ".sig"))
			w.days(90)
			return outcome{[]digest.Digest{last}, []string{"z"}, []digest.Digest{image, first, second}}
		}},
		{"nfrastack-PR575 harbor-8717 gitlab-351538 a tag that shares its image", `"delete":[{"name":"d","tags":{"glob":["staging-*"]},"olderThan":"1d"}]`, func(w *world) outcome {
			image := w.put(w.image(), "staging-1", "release", "staging-2")
			last := w.put(w.image(), "z")
			w.days(90)
			return outcome{[]digest.Digest{image, last}, []string{"release", "z"}, nil}
		}},
		{"zot-3804 an order that is not known", `"keep":[{"name":"k","tags":{"glob":["*"]},"newest":1,"order":"semver"}],"delete":[` + oldTags + `]`, func(w *world) outcome {
			old, odd, newest := w.put(w.image(), "1.2.0"), w.put(w.image(), "feature-x"), w.put(w.image(), "1.10.0")
			w.days(90)
			return outcome{[]digest.Digest{odd, newest}, []string{"feature-x", "1.10.0"}, []digest.Digest{old}}
		}},
		{"snok-67 as many images as are to be kept", `"keep":[{"name":"k","tags":{"glob":["*"]},"newest":2}],"delete":[` + oldTags + `]`, func(w *world) outcome {
			a, b := w.put(w.image(), "a"), w.put(w.image(), "b")
			w.days(90)
			return outcome{[]digest.Digest{a, b}, []string{"a", "b"}, nil}
		}},
		{"snok-67 fewer images than are to be kept", `"keep":[{"name":"k","tags":{"glob":["*"]},"newest":25}],"delete":[` + oldTags + `]`, func(w *world) outcome {
			a, b := w.put(w.image(), "a"), w.put(w.image(), "b")
			w.days(90)
			return outcome{[]digest.Digest{a, b}, []string{"a", "b"}, nil}
		}},
		{"distribution-3178 nested lists, and an image that is tagged too", `"delete":[` + oldTags + `,` + untagged + `]`, func(w *world) outcome {
			deep, tagged := w.put(w.image()), w.put(w.image(), "x")
			inner := w.put(w.index(deep, tagged))
			w.put(w.index(inner), "old")
			w.days(40)
			outer := w.put(w.index(inner), "z")
			return outcome{[]digest.Digest{deep, tagged, inner, outer}, []string{"z"}, nil} // the old tag goes, and its image stays
		}},
		{"snok-63 attestations, a referrer of an image of an index, a missing image", `"delete":[` + oldTags + `,` + untagged + `]`, func(w *world) outcome {
			a, attestation := w.put(w.image()), w.put(w.image())
			sig := w.put(w.referrer("sig", a))
			w.days(40)
			i := w.put(w.index(a, attestation, w.unique()), "z")
			return outcome{[]digest.Digest{a, attestation, sig, i}, []string{"z"}, nil}
		}},
		{"agntcy-2101 a chain of orphans", `"delete":[` + orphans + `]`, func(w *world) outcome {
			a := w.put(w.referrer("sig", w.unique()))
			b := w.put(w.referrer("sig", a))
			c := w.put(w.referrer("sig", b))
			last := w.put(w.image(), "z")
			w.days(40)
			return outcome{[]digest.Digest{last}, []string{"z"}, []digest.Digest{a, b, c}}
		}},
		{"ecr-2746 an old image with a new tag", `"delete":[{"name":"d","tags":{"glob":["*"]},"olderThan":"1d"},` + untagged + `]`, func(w *world) outcome {
			a := w.put(w.image(), "v1")
			w.days(90)
			w.tag(repository, "promoted", a)
			return outcome{[]digest.Digest{a}, []string{"promoted"}, nil}
		}},
		{"oras-go-401 a manifest that another one names as a layer", `"delete":[` + untagged + `]`, func(w *world) outcome {
			a := w.put(w.image())
			b := w.put(w.image(a), "z")
			w.days(90)
			return outcome{[]digest.Digest{a, b}, []string{"z"}, nil}
		}},
		{"a kind of manifest that nobody knows", `"delete":[` + untagged + `]`, func(w *world) outcome {
			a := w.put(w.image())
			u := w.put(w.unknown(a))
			w.days(90)
			return outcome{[]digest.Digest{a, u}, nil, nil}
		}},
		{"an index that is its image's referrer", `"delete":[` + oldTags + `]`, func(w *world) outcome {
			a := w.put(w.image())
			i := w.put(w.indexOn(a, a), "v1")
			last := w.put(w.image(), "z")
			w.days(90)
			return outcome{[]digest.Digest{last}, []string{"z"}, []digest.Digest{a, i}}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			o := row.build(w)
			w.srv.Advance(time.Hour)
			_, result := w.clean(rulesOf(t, row.rules), nil)
			w.demand(o)
			for _, r := range result.Repositories {
				if r.State != retention.Done || len(r.Skipped) > 0 {
					t.Errorf("%s", mustJSON(t, r))
				}
			}
		})
	}
}
