package retention

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/acrkit/acrkit/facade/acr"
)

// InUse is a source of references that are in use, such as the images that run in a cluster. The
// manifests that it names stay, with everything that they need. Make reads it, and Apply reads it
// again. A reference by digest keeps that manifest, but not its tags, and not an index that
// contains it: name images as they are pulled.
//
// A reference is "host/name:tag", "host/name@digest" or "host/name:tag@digest". The host has the
// port, if there is one; it may be left out, and references of other hosts are ignored. A reference
// without tag and digest means the tag "latest", and "name:*" means everything in the repository. A
// scheme in front, as in "docker-pullable://host/name@digest", is ignored.
//
// Make and Apply fail with [ErrInUse] if a source ends with an error, names no reference of the
// registry, or names something that cannot exist, such as a pattern. Otherwise images that are in
// use could be deleted.
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
	if scheme, rest, found := strings.Cut(reference, "://"); found && isScheme(scheme) {
		name = rest // as in a pod's status: docker-pullable://host/name@digest
	}
	if digest.Digest(name).Validate() == nil {
		return false, nil // an image on a node, by the digest of its config
	}
	first, rest, found := strings.Cut(name, "/")
	if found && (strings.ContainsAny(first, ".:") || first == "localhost") {
		if !isRegistry(strings.ToLower(first), host) {
			return false, nil
		}
		name = rest
	}
	name, tag, d, err := splitReference(name)
	if err != nil {
		return false, fmt.Errorf("%.200q %w", reference, err)
	}
	if d == "" && tag == "" {
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
	if d != "" {
		r.digests[d] = true
	}
	return true, nil
}

// What can be the name of a repository, which is not written in lower case everywhere, and a tag:
// see the OCI distribution specification.
var (
	repositoryName = regexp.MustCompile(`^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$`)
	tagName        = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9._-]{0,127}|\*)$`)
)

var (
	errNoReference = errors.New("is no reference: nothing can have this name")
	errNoDigest    = errors.New("has no valid digest")
)

// splitReference divides a reference without a host. What could not be the name of anything would
// protect nothing, so that is an error.
func splitReference(reference string) (repository, tag string, d digest.Digest, err error) {
	name, hash, hasDigest := strings.Cut(reference, "@")
	name, tag, hasTag := strings.Cut(name, ":")
	name, d = strings.ToLower(name), digest.Digest(hash)
	switch {
	case !repositoryName.MatchString(name):
		return "", "", "", errNoReference
	case hasTag && !tagName.MatchString(tag):
		return name, "", "", errNoReference
	case hasDigest && d.Validate() != nil:
		return name, "", "", errNoDigest
	}
	return name, tag, d, nil
}

// isScheme reports whether a text can stand before "://".
func isScheme(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789+.-") == ""
}
