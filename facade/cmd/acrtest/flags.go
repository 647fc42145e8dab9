package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/acrkit/acrkit/facade/acrtest"
)

// settings is what the command line says.
type settings struct {
	caFile    string
	control   string
	anonymous bool
	options   []acrtest.Option
}

// usageError is a command line that the flag package has refused and explained.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// parse reads the command line; what is wrong with it is written to stderr by the flag package.
func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	f := flag.NewFlagSet("acrtest", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprintln(stderr, "Usage: acrtest [options]\n\nServes an emulated Azure Container Registry; prints one line of JSON that says where and how to sign in.\n\nOptions:")
		f.PrintDefaults()
	}
	add := func(o acrtest.Option) { s.options = append(s.options, o) }
	text := func(name, usage string, o func(string) acrtest.Option) {
		f.Func(name, usage, func(value string) error {
			add(o(value))
			return nil
		})
	}
	on := func(name, usage string, o func() acrtest.Option) {
		f.BoolFunc(name, usage, func(value string) error {
			if value == "true" {
				add(o())
			}
			return nil
		})
	}
	f.StringVar(&s.caFile, "ca-file", "", "write the certificate of the CA to this `file`; a temporary one by default")
	f.StringVar(&s.control, "control", "127.0.0.1:0", "loopback `address` to seed, script and look into the registry by; empty for none")
	f.BoolVar(&s.anonymous, "anonymous", true, "allow anonymous pull")
	text("listen", "`address` of the login server (default 127.0.0.1:0, a free port)", acrtest.WithListen)
	on("allow-remote", "let -listen name an address that other machines reach; anybody there may then use the registry", acrtest.WithRemoteAccess)
	text("dir", "keep the content in this `directory`; in memory by default", acrtest.WithDirectory)
	on("sync", "wait for the disk before a write to -dir is acknowledged, so that it survives the loss of power", acrtest.WithSync)
	text("login-server", "`name` that the registry goes by, for clients that resolve it themselves", acrtest.WithLoginServer)
	f.Func("sku", "service `tier`: Basic, Standard (the default) or Premium", func(v string) error {
		for _, sku := range []acrtest.SKU{acrtest.Basic, acrtest.Standard, acrtest.Premium} {
			if strings.EqualFold(v, string(sku)) {
				add(acrtest.WithSKU(sku))
				return nil
			}
		}
		return errors.New("want Basic, Standard or Premium")
	})
	on("limits", "enforce the request budgets of the tier", acrtest.WithLimits)
	on("abac", "attribute-based permissions: wildcard scopes are dropped from tokens", acrtest.WithABAC)
	on("no-arm-audience", "refuse Entra tokens for Azure Resource Manager", acrtest.WithoutARMAudience)
	on("inline-blobs", "serve blobs without a redirect to the storage origin", acrtest.WithInlineBlobs)
	on("trailing-empty-page", "give a Link on a full last page too", acrtest.WithTrailingEmptyPage)
	on("immutable-tags", "refuse to move a tag", acrtest.WithImmutableTags)
	on("no-blob-check", "accept manifests whose blobs are not there", acrtest.WithoutBlobCheck)
	on("http2", "offer HTTP/2 as well", acrtest.WithHTTP2)
	number := func(name, usage string, o func(int64) acrtest.Option) {
		f.Func(name, usage, func(v string) error {
			var n int64
			if _, err := fmt.Sscan(v, &n); err != nil || n <= 0 {
				return errors.New("want a number above 0")
			}
			add(o(n))
			return nil
		})
	}
	number("soft-delete", "keep deleted manifests for this many `days`", func(n int64) acrtest.Option { return acrtest.WithSoftDelete(int(n)) })
	number("max-body", "refuse request bodies of more than this many `bytes`", acrtest.WithMaxBody)
	number("bandwidth", "cap each connection at this many `bytes` a second, each way", acrtest.WithBandwidth)
	duration := func(name, usage string, o func(time.Duration) acrtest.Option) {
		f.Func(name, usage, func(v string) error {
			d, err := time.ParseDuration(v)
			if err != nil || d < 0 {
				return errors.New("want a duration such as 50ms")
			}
			add(o(d))
			return nil
		})
	}
	duration("latency", "let this `time` pass before each request is looked at", acrtest.WithLatency)
	duration("replica-lag", "show writes to reads only after this `time`", acrtest.WithReplicaLag)
	f.Func("admin", "`USER:PASSWORD` of the admin user, made up by default", func(v string) error {
		user, password, ok := strings.Cut(v, ":")
		if !ok || user == "" || password == "" {
			return errors.New("want USER:PASSWORD")
		}
		add(acrtest.WithAdmin(user, password))
		return nil
	})
	f.Func("token", "add a repository token, `NAME:PASSWORD:SCOPEMAP`, such as ci:secret:samples/* content/read,metadata/read", func(v string) error {
		parts := strings.SplitN(v, ":", 3)
		if len(parts) != 3 {
			return errors.New("want NAME:PASSWORD:SCOPEMAP")
		}
		add(acrtest.WithRepositoryToken(parts[0], parts[1], strings.Split(parts[2], ";")...))
		return nil
	})
	if err := f.Parse(args); err != nil {
		return settings{}, usageError{err}
	}
	if f.NArg() > 0 {
		return settings{}, fmt.Errorf("acrtest: there are no arguments, only options: %q", f.Args())
	}
	if !s.anonymous {
		s.options = append(s.options, acrtest.WithoutAnonymousPull())
	}
	return s, nil
}
