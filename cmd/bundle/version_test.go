package main

import (
	"runtime/debug"
	"testing"
)

// What the linker said counts; else what Go noted.
func TestVersion(t *testing.T) {
	vcs := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.modified", Value: "true"}}
	for name, c := range map[string]struct {
		told versionReport
		info debug.BuildInfo
		want string
	}{
		"a release":            {versionReport{Version: "v1.2.3", Commit: "fedcba9876543210"}, debug.BuildInfo{Main: debug.Module{Version: "v0.0.1"}, Settings: vcs}, "bundle v1.2.3, bundle format 1, commit fedcba987654, go1 os/arch"},
		"go build":             {versionReport{}, debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-2026-0123"}, Settings: vcs}, "bundle v0.0.0-2026-0123, bundle format 1, commit 0123456789ab+dirty, go1 os/arch"},
		"go build without Git": {versionReport{}, debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "bundle , bundle format 1, go1 os/arch"},
		"a short commit":       {versionReport{Version: "v1", Commit: "abc"}, debug.BuildInfo{}, "bundle v1, bundle format 1, commit abc, go1 os/arch"},
	} {
		r := c.told
		r.FormatVersion, r.Go, r.Platform = 1, "go1", "os/arch"
		r.noted(&c.info)
		if got := r.String(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if program().Version == "" {
		t.Error("this program has no version")
	}
}
