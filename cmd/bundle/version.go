package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"bundle/bundle"
)

// version and commit are set by the linker for releases. Other builds know of
// themselves what Go noted.
var version, commit string

// A versionReport says which program this is.
type versionReport struct {
	Version       string `json:"version"`
	FormatVersion int    `json:"formatVersion"` // of the bundles that it writes, and the newest that it reads
	Commit        string `json:"commit"`        // in Git; empty: built outside of it
	Go            string `json:"go"`            // version that compiled it
	Platform      string `json:"platform"`      // that it runs on, OS/ARCH
}

// program is this one.
func program() *versionReport {
	r := &versionReport{
		Version: version, FormatVersion: bundle.FormatVersion, Commit: commit,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		r.noted(info)
	}
	if r.Version == "" {
		r.Version = "dev"
	}
	return r
}

// noted takes what Go noted at build time for what the linker was not told.
func (r *versionReport) noted(info *debug.BuildInfo) {
	if r.Version == "" && info.Main.Version != "(devel)" {
		r.Version = info.Main.Version
	}
	if r.Commit != "" {
		return
	}
	changed := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			r.Commit = s.Value
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if changed && r.Commit != "" {
		r.Commit += "+dirty" // as Go writes it in versions
	}
}

func (r *versionReport) String() string {
	s := fmt.Sprintf("bundle %s, bundle format %d", r.Version, r.FormatVersion)
	if r.Commit != "" {
		s += ", commit " + r.Commit[:min(len(r.Commit), 12)]
		if strings.HasSuffix(r.Commit, "+dirty") {
			s += "+dirty"
		}
	}
	return s + ", " + r.Go + " " + r.Platform
}

// toolName goes into what this program writes.
func toolName() string { return "bundle " + program().Version }

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version and the bundle format it writes",
		Example: `  bundle version
  bundle version --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report := program()
			text := func(w io.Writer) { fmt.Fprintln(w, report) }
			return output(cmd, report, func(v view) { text(v.out) }, text, nil)
		},
	}
}
