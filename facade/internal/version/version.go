// Package version reads the version of this module from the build information of the program it is
// part of.
package version

import (
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// Product is the name that programs built on this module have in the User-Agent.
const Product = "acrkit"

// Namespace is the resource provider that the spans of requests name.
const Namespace = "Microsoft.ContainerRegistry"

// API is the version of the data-plane API that requests ask for.
const API = "2021-07-01"

const (
	module = "github.com/acrkit/acrkit"
	// unknown stands for a build without a version, such as one of a test.
	unknown = "devel"
)

// Module returns the version of this module, such as "v1.2.3", or a pseudo-version for a build
// between releases. It returns "devel" if the build has no version, as in a test. The result has no
// blanks or parentheses, so it is a valid product version in a User-Agent.
func Module() string { return read() }

// Semantic returns the version of Module as a semantic version without build metadata ("+dirty"), and "v0.0.0-devel" if the
// build has no version. azcore accepts no other form for the User-Agent of a pipeline.
func Semantic() string { return semantic(Module()) }

var semanticGrammar = regexp.MustCompile(`^v\d+\.\d+\.\d+(?:-[a-zA-Z0-9.-]+)?$`)

func semantic(version string) string {
	version, _, _ = strings.Cut(version, "+")
	if semanticGrammar.MatchString(version) {
		return version
	}
	return "v0.0.0-" + unknown
}

var read = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	return of(info)
})

// of returns the version from build information in which the module is either the main module or a
// dependency. A replaced dependency has the version of what it was replaced by, which a directory
// has not.
func of(info *debug.BuildInfo) string {
	found := info.Main
	if found.Path != module {
		for _, dep := range info.Deps {
			if dep.Path == module {
				found = *dep
			}
		}
		if found.Replace != nil {
			found = *found.Replace
		} else if found.Path != module {
			return unknown
		}
	}
	if !strings.HasPrefix(found.Version, "v") {
		return unknown // "(devel)", or nothing
	}
	return found.Version
}

// Line returns what a program prints for its -version option: its name, the module, the version,
// and the Go release and platform it was built for.
func Line(program string) string {
	return program + " (" + module + ") " + Module() + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}
