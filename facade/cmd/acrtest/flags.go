package main

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
	"github.com/acrkit/acrkit/facade/cmd/internal/program"
)

// settings is what the command line says.
type settings struct {
	caFile    string
	control   string
	anonymous bool
	regions   []string // of the replicas
	options   []acrtest.Option
}

// flags adds options of package acrtest to settings as the flag package finds them.
type flags struct {
	*program.Flags

	settings *settings
}

const usage = `Usage: acrtest [options]

Runs an emulated Azure Container Registry until it is interrupted. When the registry is ready, the
program prints one line of JSON with its addresses, its credentials and its certificate file.

Environment: no variables are read, except TMPDIR for the certificate file without -ca-file.

Exit status: 0 after an interrupt, 1 if the registry cannot run, 2 if an option is invalid.
`

// parse reads the command line.
func parse(p program.Process, args []string) (settings, error) {
	s := settings{}
	f := flags{Flags: p.Flags(usage), settings: &s}
	f.addProgram()
	f.addRegistry()
	f.addNetwork()
	f.addAccounts()
	if err := f.Parse(args); err != nil {
		return settings{}, err
	}
	if f.NArg() > 0 {
		return settings{}, f.Refuse("unexpected argument %q", f.Arg(0))
	}
	if !s.anonymous {
		f.add(acrtest.WithoutAnonymousPull())
	}
	return s, nil
}

func (f flags) add(o acrtest.Option) { f.settings.options = append(f.settings.options, o) }

// addProgram adds the options of the program itself, and of where it keeps its content.
func (f flags) addProgram() {
	f.StringVar(&f.settings.caFile, "ca-file", "", "write the CA certificate to this `file` (default: a temporary file)")
	f.StringVar(&f.settings.control, "control", "127.0.0.1:0", "loopback `address` of the control API; empty to disable it")
	f.text("dir", "store the content in this `directory` (default: in memory)", acrtest.WithDirectory)
	f.on("sync", "with -dir, write through to the disk so that acknowledged writes survive a power failure", acrtest.WithSync)
}

// addRegistry adds what kind of registry it is.
func (f flags) addRegistry() {
	f.Func("sku", "service `tier`: Basic, Standard or Premium (default Standard)", func(v string) error {
		for _, sku := range []acrtest.SKU{acrtest.Basic, acrtest.Standard, acrtest.Premium} {
			if strings.EqualFold(v, string(sku)) {
				f.add(acrtest.WithSKU(sku))
				return nil
			}
		}
		return errors.New("must be Basic, Standard or Premium")
	})
	f.on("limits", "enforce the request budgets of the tier", acrtest.WithLimits)
	f.on("token-buckets", "enforce the request budgets of the tier second by second", acrtest.WithTokenBuckets)
	f.Func("manifest-times", "what moves the time of a manifest's last update: `push` (the default), fixed or tags", func(v string) error {
		f.add(acrtest.WithManifestTimes(acrtest.ManifestTimes(v)))
		return nil
	})
	f.on("inline-blobs", "serve blobs from the login server, without a redirect to the storage account", acrtest.WithInlineBlobs)
	f.on("trailing-empty-page", "add a Link to a full last page too, so that lists may end with an empty page", acrtest.WithTrailingEmptyPage)
	f.on("empty-repositories", "keep repositories whose last manifest was deleted", acrtest.WithEmptyRepositories)
	f.on("immutable-tags", "reject pushes that move an existing tag", acrtest.WithImmutableTags)
	f.on("no-blob-check", "accept manifests that refer to missing blobs", acrtest.WithoutBlobCheck)
	f.number("soft-delete", "keep deleted manifests for this many `days`, 1 to 90", func(n int64) acrtest.Option { return acrtest.WithSoftDelete(int(min(n, 1<<30))) })
	f.number("max-body", "reject request bodies of more than this many `bytes`", acrtest.WithMaxBody)
	f.duration("replica-lag", "make writes visible to reads, or with -replicas to the other replicas, only after this `time`", acrtest.WithReplicaLag)
	f.text("replicas", "create one replica for each of these `regions`, such as eastus,westeurope", func(v string) acrtest.Option {
		f.settings.regions = strings.Split(v, ",")
		return acrtest.WithReplicas(f.settings.regions...)
	})
}

// addNetwork adds where the registry listens, and how the network behaves.
func (f flags) addNetwork() {
	f.text("listen", "`address` of the login server (default 127.0.0.1:0, a free port)", acrtest.WithListen)
	f.on("allow-remote", "allow -listen to use an address that other machines can reach; anybody there can use the registry", acrtest.WithRemoteAccess)
	f.text("login-server", "host `name` of the registry, for clients that resolve it themselves", acrtest.WithLoginServer)
	f.on("http2", "offer HTTP/2 as well", acrtest.WithHTTP2)
	f.number("bandwidth", "limit each connection to this many `bytes` per second, each way", acrtest.WithBandwidth)
	f.duration("latency", "delay each request by this `time`", acrtest.WithLatency)
}

// addAccounts adds who may use the registry.
func (f flags) addAccounts() {
	f.BoolVar(&f.settings.anonymous, "anonymous", true, "allow anonymous pull")
	f.on("abac", "use attribute-based permissions: wildcard scopes are removed from tokens", acrtest.WithABAC)
	f.on("no-arm-audience", "reject Entra tokens for Azure Resource Manager", acrtest.WithoutARMAudience)
	f.Func("admin", "`USER:PASSWORD` of the admin user (default: acrtest and a random password)", func(v string) error {
		user, password, ok := strings.Cut(v, ":")
		if !ok || user == "" || password == "" {
			return errors.New("must have the form USER:PASSWORD")
		}
		f.add(acrtest.WithAdmin(user, password))
		return nil
	})
	f.Func("token", "add a repository token `NAME:PASSWORD:SCOPEMAP`, such as \"ci:secret:samples/* content/read,metadata/read\"; separate entries of the scope map by semicolons", func(v string) error {
		parts := strings.SplitN(v, ":", 3)
		if len(parts) != 3 {
			return errors.New("must have the form NAME:PASSWORD:SCOPEMAP")
		}
		f.add(acrtest.WithRepositoryToken(parts[0], parts[1], strings.Split(parts[2], ";")...))
		return nil
	})
}

func (f flags) text(name, usage string, o func(string) acrtest.Option) {
	f.Func(name, usage, func(value string) error {
		f.add(o(value))
		return nil
	})
}

func (f flags) on(name, usage string, o func() acrtest.Option) {
	f.BoolFunc(name, usage, func(value string) error {
		wanted, err := strconv.ParseBool(value)
		if err != nil {
			return errors.New("must be true or false")
		}
		if wanted {
			f.add(o())
		}
		return nil
	})
}

func (f flags) number(name, usage string, o func(int64) acrtest.Option) {
	f.Func(name, usage, func(v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n <= 0 {
			return errors.New("must be a whole number greater than 0")
		}
		f.add(o(n))
		return nil
	})
}

func (f flags) duration(name, usage string, o func(time.Duration) acrtest.Option) {
	f.Func(name, usage, func(v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			return errors.New("must be a duration such as 50ms")
		}
		f.add(o(d))
		return nil
	})
}
