package retention

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// InUse is a source of references that are in use, such as the images that run in a cluster. What
// it names stays, with all that it needs. It is read when a plan is made, and again when the plan
// is applied.
//
// A reference is "host/name:tag", "host/name@digest" or "host/name:tag@digest"; the host may be
// left out, and references of other hosts are ignored. A reference without tag and digest means the
// tag "latest", and "name:*" means everything in the repository.
//
// A source that ends with an error, or that names no reference of the registry at all, refuses the
// plan: what cannot be seen must not be taken for unused.
type InUse func(ctx context.Context) iter.Seq2[string, error]

// InUseList returns a source that names a fixed list of references.
func InUseList(references ...string) InUse {
	return func(context.Context) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for _, r := range references {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// used is what is in use of one repository.
type used struct {
	all     bool
	tags    map[string]bool
	digests map[digest.Digest]bool
}

// inUse is what is in use, by repository.
type inUse map[string]*used

// readInUse reads all sources.
func readInUse(ctx context.Context, c *acr.Client, sources []InUse) (inUse, error) {
	host := hostOf(c)
	u := inUse{}
	for i, source := range sources {
		if source == nil {
			return nil, fmt.Errorf("retention: %w: source %d is nil", ErrInUse, i+1)
		}
		named := 0
		for reference, err := range source(ctx) {
			if err != nil {
				return nil, fmt.Errorf("retention: %w: source %d: %w", ErrInUse, i+1, err)
			}
			ours, err := u.add(host, reference)
			if err != nil {
				return nil, fmt.Errorf("retention: %w: source %d: %w", ErrInUse, i+1, err)
			}
			if ours {
				named++
			}
		}
		if named == 0 {
			return nil, fmt.Errorf("retention: %w: source %d names nothing of %s", ErrInUse, i+1, host)
		}
	}
	return u, nil
}

// hostOf is the host of the client's registry.
func hostOf(c *acr.Client) string {
	u, err := url.Parse(c.Endpoint())
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

// isRegistry reports whether a host is the registry's, or that of one of its replicas:
// myregistry.westeurope.geo.azurecr.io is myregistry.azurecr.io.
func isRegistry(name, host string) bool {
	if name == host || name+":443" == host || name == host+":443" {
		return true
	}
	registry, domain, _ := strings.Cut(host, ".")
	middle, found := strings.CutPrefix(name, registry+".")
	middle, geo := strings.CutSuffix(middle, ".geo."+domain)
	return found && geo && middle != "" && !strings.Contains(middle, ".")
}

// add takes a reference in, and reports whether it is one of the host's.
func (u inUse) add(host, reference string) (ours bool, err error) {
	name := reference
	first, rest, found := strings.Cut(reference, "/")
	if found && (strings.ContainsAny(first, ".:") || first == "localhost") {
		if !isRegistry(strings.ToLower(first), host) {
			return false, nil
		}
		name = rest
	}
	name, d, hasDigest := strings.Cut(name, "@")
	name, tag, hasTag := strings.Cut(name, ":")
	name = strings.ToLower(name) // as all repositories are
	switch {
	case name == "" || hasTag && tag == "" || strings.ContainsAny(name+tag, " \t\r\n@"):
		return false, fmt.Errorf("%.200q is no reference", reference)
	case hasDigest && digest.Digest(d).Validate() != nil:
		return false, fmt.Errorf("%.200q has no valid digest", reference)
	case !hasDigest && !hasTag:
		tag = "latest"
	}
	r := u[name]
	if r == nil {
		r = &used{tags: map[string]bool{}, digests: map[digest.Digest]bool{}}
		u[name] = r
	}
	switch {
	case tag == "*":
		r.all = true
	case tag != "":
		r.tags[tag] = true
	}
	if hasDigest {
		r.digests[digest.Digest(d)] = true
	}
	return true, nil
}
