package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bundle/bundle"
)

const exitCodes = `Exit codes:
  0    done
  1    failed
  2    usage: the command line or a file it names is wrong
  3    not trusted: no signature, a bad one, or not by a trusted key; or an image
       that is not signed as --verify-images wants it
  4    damaged bundle
  5    registry refused: credentials, permission or TLS; or it took nothing
  6    done, but not complete: references that values cannot move or nobody can pull,
       or names that the registry refused; with diff --exit-code: something differs
  7    needs more: parts of the bundle, or layers that a delta requires, are nowhere here
  8    an older bundle would replace what a newer one put there, or a tag would change
       with --no-overwrite
  130  interrupted`

// newRoot makes the commands, which print to out.
func newRoot(out io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "bundle",
		Short: "Carry Helm applications across an air gap",
		Long: `bundle export writes a Helm chart and every image it needs into one signed file.
bundle import, on the other side, verifies it, pushes it into the private registry
and emits the values with which Helm pulls everything from there.
bundle COMMAND --help tells more, with examples.`,
		Example: `  # Connected side:
  bundle keygen release-key
  bundle export oci://ghcr.io/acme/charts/app --version 1.2.3 --key release-key -o app.bundle.tar

  # Carry app.bundle.tar, and release-key.pub by another route. Isolated side:
  bundle import app.bundle.tar --registry registry.plant.local:5000/apps --key release-key.pub`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       program().String(),
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return checkFlags(cmd) },
	}
	root.SetOut(out) // before completion, which asks now where it will print
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(wrongFlag)
	root.SetHelpCommand(withMan(newHelp(root)))
	root.SetHelpFunc(printHelp)
	pf := root.PersistentFlags()
	pf.Bool("json", false, "print one report as JSON on standard output; see bundle help scripting")
	pf.BoolP("quiet", "q", false, "print errors only; of a query, names only")
	pf.String("progress", "auto", "show progress in this `MODE`: auto, plain or none")
	_ = root.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions(progressModes, cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(newTopics()...)
	root.AddCommand(newExport(), newImport(), newImages(), newValues(), newCheck(), newPostRender(), newVerify(), newInspect(), newDiff(), newServe(), newStatus(), newInventory(), newMerge(), newSplit(), newProtect(), newRepair(), newSign(), newKeygen(), newVersion())
	addCompletion(root)
	for _, c := range root.Commands() {
		complete(c)
		c.Args = usageArgs(c.Args)
	}
	return root
}

// addCompletion has cobra add its command now, and has it refuse what is no shell: it
// would show its help, and all would seem well.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	i := slices.IndexFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == "completion" })
	cmd := root.Commands()[i]
	cmd.Use = "completion SHELL"
	cmd.Example = `  bundle completion bash > /etc/bash_completion.d/bundle
  source <(bundle completion zsh)`
	cmd.Args = nil
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		e := &bundle.UsageError{What: "no shell is named", Advice: "want bash, zsh, fish or powershell"}
		if len(args) > 0 {
			e.What = fmt.Sprintf("unknown shell %q", args[0])
		}
		return e
	}
}

// knownCommand refuses what is no command, and says what it may have been meant
// for.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	e := &bundle.UsageError{What: fmt.Sprintf("unknown command %q", args[0]), Advice: "see bundle --help"}
	if near := nearest(args[0], names); near != "" {
		if isTopic(near) {
			near = "help " + near
		}
		e.Advice = "did you mean bundle " + near + "? " + e.Advice
	}
	return e
}

// misspelt refuses a word before --help that is no command: cobra would show the help of
// bundle itself.
func misspelt(root *cobra.Command, args []string) error {
	found, rest, err := root.Find(args)
	if err != nil || found != root || len(rest) == 0 || strings.HasPrefix(rest[0], "-") || strings.HasPrefix(rest[0], cobra.ShellCompRequestCmd) || rest[0] == "help" || rest[0] == "completion" {
		return nil
	}
	return knownCommand(root, rest)
}

// usageArgs makes a wrong number of arguments a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if err := check(cmd, args); err != nil {
			return wrongArgs(cmd, args)
		}
		return nil
	}
}

// wrongArgs says which words are too many or missing.
func wrongArgs(cmd *cobra.Command, args []string) error {
	e := &bundle.UsageError{Advice: "usage: " + strings.TrimSuffix(cmd.UseLine(), " [flags]")}
	words := strings.Fields(cmd.Use)[1:]
	want := 0
	for _, w := range words {
		if strings.HasPrefix(w, "-") || strings.HasPrefix(w, "[-") {
			break
		}
		if want++; want > len(args) {
			e.What = "no " + strings.ReplaceAll(strings.Trim(w, "[]…"), "|", " or ") + " is named"
			return e
		}
	}
	switch {
	case want == 0:
		e.What = fmt.Sprintf("%s takes no argument, and %q is one", cmd.Name(), args[0])
	case cmd.Name() == "export" || cmd.Name() == "images" || cmd.Name() == "values":
		e.What = fmt.Sprintf("one chart at a time on the command line, and %q is a second one", args[want])
		e.Advice = "several charts: --config FILE"
	default:
		e.What = fmt.Sprintf("%q is one argument too many", args[want])
	}
	return e
}
