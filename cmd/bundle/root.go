package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"bundle/bundle"
)

const exitCodes = `Exit codes:
  0    done
  1    failed
  2    usage: the command line or a file it names is wrong
  3    not trusted: no signature, a bad one, or not by a trusted key
  4    damaged bundle
  5    registry refused: credentials, permission or TLS
  6    done, but not complete: references that values cannot move or nobody can pull
  130  interrupted`

// version is set by the linker for releases.
var version = "dev"

func toolName() string {
	v := version
	if info, ok := debug.ReadBuildInfo(); ok && v == "dev" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		v = info.Main.Version
	}
	return "bundle " + v
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "bundle",
		Short: "Carry Helm applications across an air gap",
		Long: `bundle export writes a Helm chart and every image it needs into one signed file.
bundle import, on the other side, verifies it, pushes it into the private registry
and emits the values with which Helm pulls everything from there.

` + exitCodes,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &bundle.UsageError{What: err.Error(), Advice: "see " + cmd.CommandPath() + " --help"}
	})
	pf := root.PersistentFlags()
	pf.Bool("json", false, "print one report as JSON on standard output")
	pf.BoolP("quiet", "q", false, "print errors only")
	pf.String("progress", "auto", "how to show progress: auto, plain or none")
	root.AddCommand(newExport(), newImport(), newImages(), newValues(), newPostRender(), newVerify(), newInspect(), newSign(), newKeygen(), newVersion())
	for _, c := range append(root.Commands(), root) {
		c.Args = usageArgs(c.Args)
	}
	return root
}

// usageArgs makes a wrong number of arguments a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if err := check(cmd, args); err != nil {
			return &bundle.UsageError{What: err.Error(), Advice: "usage: " + cmd.UseLine()}
		}
		return nil
	}
}

// A versionReport says which program this is.
type versionReport struct {
	Version       string `json:"version"`
	FormatVersion int    `json:"formatVersion"` // of the bundles that it writes, and the newest that it reads
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version and the bundle format it writes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report := &versionReport{Version: strings.TrimPrefix(toolName(), "bundle "), FormatVersion: bundle.FormatVersion}
			text := func(w io.Writer) { fmt.Fprintf(w, "%s, bundle format %d\n", toolName(), bundle.FormatVersion) }
			return output(cmd, report, func(v view) { text(v.out) }, text, nil)
		},
	}
}
