package credentials

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/acrkit/acrkit/facade/acr"
)

// Options are the options of [Find] and [NewClient].
type Options struct {
	// Files are the paths of the files to search, in this order. A missing file is an error.
	// Default: these files, of which missing ones are skipped:
	//
	//   - docker and oras: $DOCKER_CONFIG/config.json, or ~/.docker/config.json
	//   - podman, buildah, skopeo: $REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json
	//     (on Linux without that variable /run/containers/UID/auth.json), and
	//     $XDG_CONFIG_HOME/containers/auth.json or ~/.config/containers/auth.json
	//   - helm: $HELM_REGISTRY_CONFIG, $HELM_CONFIG_HOME/registry/config.json, or
	//     helm/registry/config.json in $XDG_CONFIG_HOME or else in ~/.config, on macOS in
	//     ~/Library/Preferences, and on Windows in %APPDATA%
	Files []string

	// Repository is the name of the repository that the client will use. In podman's files an entry
	// may be for one repository or for all under a path, such as "myregistry.azurecr.io/team". The
	// entry with the longest matching path is used. Default: only entries of the whole registry are
	// used.
	Repository string

	// Client is the options of the client that [NewClient] returns. [Find] does not use it.
	// Default: nil.
	Client *acr.ClientOptions
}

// NewClient returns a client that signs in with the stored credential of the registry, or pulls
// anonymously if there is none. It sends no request. It reads the files, and runs a credential
// helper if a file names one for the registry.
//
// The credential is read once. Call NewClient again when it has expired: an identity token lasts
// about three hours.
//
// Errors:
//   - [acr.ErrInvalidArgument] if the endpoint, the repository or an option is invalid
//   - [*Error] if a file or helper cannot be used; see [Find]
func NewClient(ctx context.Context, endpoint string, opts *Options) (*acr.Client, error) {
	if opts == nil {
		opts = &Options{}
	}
	c, err := Find(ctx, endpoint, opts)
	if err != nil {
		return nil, err
	}
	return c.Client(endpoint, opts.Client)
}

// Find returns the stored credential of the registry at endpoint ("myregistry.azurecr.io", with or
// without https://). It returns the zero Credential, which is anonymous, if no file has one. It
// sends no request. It reads the files, and runs a credential helper if a file names one for the
// registry.
//
// A helper must be on the PATH. It gets the name of the registry, and its standard error is that of
// this process. If ctx ends, the helper is stopped.
//
// Errors:
//   - [acr.ErrInvalidArgument] if the endpoint or the repository is invalid: for example, the
//     endpoint has a path, or the repository name includes the registry or capital letters
//   - [*Error] if a file cannot be read, is not a docker configuration or has an entry of the
//     registry that cannot be used, or if a helper fails
func Find(ctx context.Context, endpoint string, opts *Options) (Credential, error) {
	if opts == nil {
		opts = &Options{}
	}
	registry, err := clientOf(endpoint)
	if err != nil {
		return Credential{}, err
	}
	if opts.Repository != "" {
		if err := checkRepository(ctx, registry, opts.Repository); err != nil {
			return Credential{}, err
		}
	}
	files, given := opts.Files, true
	if len(files) == 0 {
		files, given = defaultFiles(), false
	}
	for _, path := range files {
		f, err := readFile(path)
		if !given && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Credential{}, err
		}
		c, err := f.find(ctx, hostOf(registry), opts.Repository)
		if err != nil || !c.IsAnonymous() {
			return c, err
		}
	}
	return Credential{}, nil
}

// defaultFiles returns the files in which the tools of the field store credentials.
func defaultFiles() (files []string) {
	add := func(elem ...string) {
		if elem[0] != "" {
			files = append(files, filepath.Join(elem...))
		}
	}
	home, _ := os.UserHomeDir() // without one, only the variables name files
	either := func(variable string, elem ...string) string {
		if v := os.Getenv(variable); v != "" || elem[0] == "" {
			return v
		}
		return filepath.Join(elem...)
	}
	add(either("DOCKER_CONFIG", home, ".docker"), "config.json")
	add(os.Getenv("REGISTRY_AUTH_FILE"))
	add(either("XDG_RUNTIME_DIR", perUser()), "containers", "auth.json")
	add(either("XDG_CONFIG_HOME", home, ".config"), "containers", "auth.json")
	add(either("HELM_REGISTRY_CONFIG", either("HELM_CONFIG_HOME", either("XDG_CONFIG_HOME", helmHome(home)...), "helm"), "registry", "config.json"))
	return files
}

// helmHome returns the elements of where helm's configuration is if no variable names another place. The first one is empty if it is
// not known.
func helmHome(home string) []string {
	switch runtime.GOOS {
	case "windows":
		return []string{os.Getenv("APPDATA")}
	case "darwin":
		return []string{home, "Library", "Preferences"}
	default:
		return []string{home, ".config"}
	}
}

// perUser returns where podman keeps the directory of a user without XDG_RUNTIME_DIR, such as root in
// a container.
func perUser() string {
	if runtime.GOOS != "linux" {
		return ""
	}
	return "/run/containers/" + strconv.Itoa(os.Getuid())
}
