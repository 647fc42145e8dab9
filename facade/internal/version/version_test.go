package version

import (
	"runtime/debug"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
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

// azcore refuses to make a pipeline whose version is not a semantic one.
func TestSemantic(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"v1.2.3": "v1.2.3", "v1.2.3-rc.1": "v1.2.3-rc.1", "devel": "v0.0.0-devel", "": "v0.0.0-devel", "v1": "v0.0.0-devel", "v2.0.0+incompatible": "v2.0.0",
		"v0.0.0-20260101000000-0123456789ab+dirty": "v0.0.0-20260101000000-0123456789ab",
	} {
		got := semantic(version)
		if got != want {
			t.Errorf("%q: %q, want %q", version, got, want)
		}
		if _, err := azcore.NewClient("acrkit", got, runtime.PipelineOptions{}, nil); err != nil {
			t.Errorf("%q: %v", version, err)
		}
	}
	if Semantic() != semantic(Module()) {
		t.Error(Semantic())
	}
}
