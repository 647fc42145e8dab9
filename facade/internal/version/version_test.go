package version

import (
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestVersionOfEachKindOfBuild(t *testing.T) {
	t.Parallel()
	other := debug.Module{Path: "example.com/app", Version: "v9.9.9"}
	own := func(version string) debug.Module { return debug.Module{Path: module, Version: version} }
	dep := own("v1.2.3")
	fork := debug.Module{Path: module, Version: "v1.2.3", Replace: &debug.Module{Path: "example.com/fork", Version: "v1.2.4"}}
	local := debug.Module{Path: module, Version: "v1.2.3", Replace: &debug.Module{Path: "../acrkit"}}
	for name, row := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"a released program":        {debug.BuildInfo{Main: own("v1.2.3")}, "v1.2.3"},
		"a program between":         {debug.BuildInfo{Main: own("v0.0.0-20260101000000-0123456789ab+dirty")}, "v0.0.0-20260101000000-0123456789ab+dirty"},
		"a program without version": {debug.BuildInfo{Main: own("(devel)")}, "devel"},
		"a test":                    {debug.BuildInfo{Main: own("")}, "devel"},
		"a dependency":              {debug.BuildInfo{Main: other, Deps: []*debug.Module{&other, &dep}}, "v1.2.3"},
		"a fork":                    {debug.BuildInfo{Main: other, Deps: []*debug.Module{&fork}}, "v1.2.4"},
		"a directory":               {debug.BuildInfo{Main: other, Deps: []*debug.Module{&local}}, "devel"},
		"a program without it":      {debug.BuildInfo{Main: other}, "devel"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := of(&row.info); got != row.want {
				t.Errorf("version %q, want %q", got, row.want)
			}
		})
	}
	if Module() == "" {
		t.Error("this build has no version at all, not even \"devel\"")
	}
}
