package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/acrkit/acrkit/facade/internal/redact"
)

// maxFile is the largest file that is read. Real ones have a few KiB.
const maxFile = 4 << 20

// file is a docker configuration: which registries it names, and the store that decodes its entries.
type file struct {
	path    string
	keys    []string // of auths, in order
	helpers map[string]string
	helper  string // of all registries without one of their own
	store   credentials.Store
}

// readFile reads a file. The error of a missing one matches fs.ErrNotExist.
func readFile(path string) (*file, error) {
	raw, err := readBounded(path)
	if err != nil {
		return nil, &Error{Path: path, Reason: "it cannot be read", Err: err}
	}
	var config struct {
		Auths       map[string]json.RawMessage `json:"auths"`
		CredHelpers map[string]string          `json:"credHelpers"`
		CredsStore  string                     `json:"credsStore"`
	}
	if len(strings.TrimSpace(string(raw))) == 0 {
		raw = []byte("{}") // docker takes an empty file for one without entries
	}
	// Errors of decoders may quote what they read, and that may be a secret: none is passed on.
	if json.Unmarshal(raw, &config) != nil {
		return nil, &Error{Path: path, Reason: "it is not a docker configuration"}
	}
	store, err := credentials.NewStore(path, credentials.StoreOptions{})
	if err != nil {
		return nil, &Error{Path: path, Reason: "it is not a docker configuration"}
	}
	return &file{
		path: path, keys: slices.Sorted(maps.Keys(config.Auths)), store: store,
		helpers: config.CredHelpers, helper: config.CredsStore,
	}, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(raw) > maxFile {
		err = errors.New("it is larger than 4 MiB")
	}
	return raw, err
}

// find returns the credential of a registry: from its own helper, from the entry of the repository or
// of the registry, or from the helper of all registries.
func (f *file) find(ctx context.Context, host, repository string) (Credential, error) {
	if server, ok := like(slices.Sorted(maps.Keys(f.helpers)), host); ok && f.helpers[server] != "" {
		return f.ask(ctx, f.helpers[server], server, host)
	}
	if f.helper != "" {
		server, ok := f.key(host, "") // docker leaves an empty entry with the name that the helper knows
		if !ok {
			server = host
		}
		return f.ask(ctx, f.helper, server, host)
	}
	key, ok := f.key(host, repository)
	if !ok {
		return Credential{}, nil
	}
	stored, err := f.store.Get(ctx, key)
	if err != nil {
		return Credential{}, &Error{Path: f.path, Server: host, Reason: "its entry is damaged: auth has to be base64 of USER:PASSWORD"}
	}
	return f.take(host, "", stored)
}

// key returns which entry of auths is that of the repository or registry. A registry may be written
// as a host, or as a URL by older versions of docker.
func (f *file) key(host, repository string) (string, bool) {
	for name := repository; name != ""; name = parent(name) {
		if slices.Contains(f.keys, host+"/"+name) {
			return host + "/" + name, true
		}
	}
	if name, ok := like(f.keys, host); ok {
		return name, true
	}
	i := slices.IndexFunc(f.keys, func(key string) bool {
		rest, isURL := strings.CutPrefix(strings.ToLower(key), "https://")
		if !isURL {
			rest, isURL = strings.CutPrefix(rest, "http://")
		}
		name, path, _ := strings.Cut(rest, "/")
		// "host/path" without a scheme is podman's entry of a repository: it is not for all of the registry.
		return name == host && (isURL || path == "")
	})
	if i < 0 {
		return "", false
	}
	return f.keys[i], true
}

// like returns the name that is the host's: as it is, or with capitals, as people type it.
func like(names []string, host string) (string, bool) {
	if slices.Contains(names, host) {
		return host, true
	}
	i := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, host) })
	if i < 0 {
		return "", false
	}
	return names[i], true
}

// parent returns the name without its last component, empty if there is only one.
func parent(name string) string {
	return name[:max(strings.LastIndexByte(name, '/'), 0)]
}

// ask runs a helper, which knows the host by the name server.
func (f *file) ask(ctx context.Context, helper, server, host string) (Credential, error) {
	fail := func(reason string, err error) (Credential, error) {
		return Credential{}, &Error{Path: f.path, Server: host, Reason: "helper docker-credential-" + helper + " " + reason, Err: err}
	}
	if strings.ContainsAny(helper, `/\`) || helper != redact.OneLine(helper) {
		return fail("is not the name of a program", nil)
	}
	stored, err := credentials.NewNativeStore(helper).Get(ctx, server)
	switch {
	case ctx.Err() != nil:
		return fail("was stopped", context.Cause(ctx))
	case isSyntax(err):
		return fail("did not answer with a credential", nil) // the error may quote a secret
	case err != nil:
		return fail("failed", err)
	}
	return f.take(host, helper, stored)
}

func isSyntax(err error) bool {
	_, bad := errors.AsType[*json.SyntaxError](err)
	_, odd := errors.AsType[*json.UnmarshalTypeError](err)
	return bad || odd
}

// take turns what is stored into a Credential.
func (f *file) take(host, helper string, stored auth.Credential) (Credential, error) {
	c := Credential{Server: host, Username: stored.Username, Source: f.path, Helper: helper}
	secret := strings.Trim(stored.Password, "\x00") // docker on Windows pads passwords
	switch {
	case stored.RefreshToken != "":
		c.Username, secret = "", stored.RefreshToken
	case secret != "" && (c.Username == tokenUser || c.Username == identityUser):
		c.Username = ""
	case secret != "" && c.Username != "":
	case stored.AccessToken != "":
		return Credential{}, &Error{Path: f.path, Server: host, Reason: "its entry has a registry token, which cannot be renewed: log in again"}
	case secret == "" && c.Username == "":
		return Credential{}, nil // docker leaves empty entries for registries of a helper
	default:
		return Credential{}, &Error{Path: f.path, Server: host, Reason: "its entry has a user name without a password, or the reverse"}
	}
	c.secret = &secret
	return c, nil
}

// The user names that say that the password is a refresh token: of `az acr login`, and of docker.
const (
	tokenUser    = "00000000-0000-0000-0000-000000000000"
	identityUser = "<token>"
)
