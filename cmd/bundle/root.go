package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"runtime/debug"
	"strings"
	"unicode"

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
  7    needs more: parts of the bundle are on media that are not there
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
	root.AddCommand(newExport(), newImport(), newImages(), newValues(), newPostRender(), newVerify(), newInspect(), newSplit(), newProtect(), newRepair(), newSign(), newKeygen(), newVersion())
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

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version and the bundle format it writes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s, bundle format %d\n", toolName(), bundle.FormatVersion)
			return err
		},
	}
}

// output prints a report: as JSON where that was asked for, else with human.
// It hands on err, so that a report beside an error is not lost.
func output(cmd *cobra.Command, report any, human func(), err error) error {
	asJSON, _ := cmd.Flags().GetBool("json")
	quiet, _ := cmd.Flags().GetBool("quiet")
	switch {
	case asJSON:
		b, jerr := json.MarshalIndent(report, "", "  ")
		if jerr != nil {
			return jerr
		}
		if _, werr := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b); werr != nil {
			return werr
		}
	case !quiet:
		cmd.SetOut(plainText{cmd.OutOrStdout()})
		cmd.SetErr(plainText{cmd.ErrOrStderr()})
		human()
	}
	return err
}

// plainText writes text for people: charts, bundles and registries have a say in
// it, and a terminal obeys some characters.
type plainText struct{ w io.Writer }

func (p plainText) Write(b []byte) (int, error) {
	text := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, string(b))
	if _, err := io.WriteString(p.w, text); err != nil {
		return 0, err
	}
	return len(b), nil
}

// userinfo is a user name and password in a URL, as it was given where none
// belongs.
var userinfo = regexp.MustCompile(`(://)[^/\s"']*@`)

// printError says what went wrong and, on a line of its own, what to do next.
// Messages are lowercase sentences without a full stop, and never a trace.
func printError(cmd *cobra.Command, err error) {
	w := plainText{cmd.ErrOrStderr()}
	if bundle.KindOf(err) == bundle.Interrupted {
		fmt.Fprintln(w, "bundle: interrupted, nothing was left half written under its name")
	} else {
		fmt.Fprintf(w, "bundle: %s\n", userinfo.ReplaceAllString(err.Error(), "$1"))
	}
	if h := bundle.Hint(err); h != "" {
		fmt.Fprintf(w, "  hint: %s\n", strings.ReplaceAll(h, "\n", "\n        "))
	}
}
