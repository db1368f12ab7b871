package main

import (
	"cmp"
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The pages of bundle help TOPIC: Markdown, which reads well as it is. A release makes
// manual pages of them.
//
//go:embed guides
var pages embed.FS

var topics = []struct{ name, file, short string }{
	{"quickstart", "guides/quickstart.md", "From an install to pods that run: five lines, both sides"},
	{"charts", "guides/charts.md", "How images are found and moved; several charts; what travels"},
	{"operator", "guides/operator.md", "The isolated side: verify, log in, import, upgrade, go back"},
	{"trust", "guides/trust.md", "Keys, fingerprints on paper, two signers, old bundles, images"},
	{"media", "guides/media.md", "Sticks, discs, parts and parity, deltas, no registry yet"},
	{"gitops", "guides/gitops.md", "Flux, Argo CD and kustomize, and several environments"},
	{"nodes", "guides/nodes.md", "Make nodes ask a mirror: containerd, CRI-O, k3s, OpenShift"},
	{"scripting", "guides/scripting.md", "JSON, exit codes and environment variables, for scripts"},
	{"registries", "guides/registries.md", "Which registries were tried, and what each needs"},
	{"troubleshooting", "guides/troubleshooting.md", "What goes wrong, what it means, what to do; limits"},
	{"schema", "guides/report.schema.json", "The JSON Schema of all reports"},
}

// newTopics are commands that do nothing but show a page.
func newTopics() []*cobra.Command {
	var all []*cobra.Command
	for _, t := range topics {
		all = append(all, &cobra.Command{Use: t.name, Short: t.short, Long: page(t.file)})
	}
	return all
}

func isTopic(name string) bool {
	for _, t := range topics {
		if t.name == name {
			return true
		}
	}
	return false
}

func page(file string) string {
	b, err := pages.ReadFile(file)
	if err != nil {
		return err.Error() // the tests read all of them
	}
	return string(b)
}

func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND or TOPIC]",
		Short: "Show how to use a command, or a page on a topic",
		ValidArgsFunction: func(_ *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range root.Commands() {
				if len(args) == 0 && !c.Hidden && strings.HasPrefix(c.Name(), begin) {
					names = append(names, c.Name()+"\t"+c.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return knownCommand(root, args)
			}
			return found.Help()
		},
	}
}

// groups of flags, in the order in which help shows them.
var groups = []struct {
	title string
	flags []string
}{
	{"Chart", []string{"repo", "version", "values", "set", "set-string", "release-name", "namespace", "kube-version", "api-versions", "skip-tests", "disabled", "config"}},
	{"Images", []string{"image", "images-from", "exclude", "ignore", "platform", "platform-optional", "all-platforms", "no-referrers", "skip-charts"}},
	{"Output", []string{"output", "output-dir", "scratch", "base", "base-key", "delta-key", "render", "gitops", "environment", "render-secrets", "pull-secret", "receipt", "receipt-key", "with-tool", "tool-dir", "dry-run", "force", "in-order", "no-values", "redact", "serial", "expires", "map", "comment", "html", "against", "digests-only", "exit-code"}},
	{"Parts", []string{"split-size", "parity", "swap", "part", "state", "no-read-back"}},
	{"Signatures", []string{"key", "unsigned", "verify-images", "no-passphrase", "fingerprint", "allowed-signers", "principal", "require", "signature", "newer-than", "revoked", "allow-expired", "insecure-skip-signature"}},
	{"Server", []string{"listen", "tls-cert", "tls-key", "tls-host", "htpasswd", "print-node-config", "verbose"}},
	{"Registry", []string{"registry", "repository", "catalog", "names", "tag-digests", "no-overwrite", "allow-older", "no-record", "deep", "fail-fast", "registry-mirror", "username", "password-stdin", "ca-file", "client-cert", "client-key", "plain-http", "insecure-skip-tls-verify", "jobs", "chunk-size", "blobs-only", "shard", "shard-job", "shard-job-image", "shard-job-claim"}},
}

// printHelp shows a command: what it does, how it is called, examples, and its
// flags in groups.
func printHelp(cmd *cobra.Command, _ []string) {
	w := cmd.OutOrStdout()
	width := columns(w)
	if width == 0 || width > 100 {
		width = 80
	}
	about := strings.TrimSpace(cmp.Or(cmd.Long, cmd.Short))
	if !cmd.Runnable() {
		fmt.Fprintln(w, about) // a page
		return
	}
	fmt.Fprintln(w, prose(about, width))
	usage := strings.TrimSuffix(cmd.UseLine(), " [flags]")
	if cmd.HasAvailableSubCommands() && !cmd.HasParent() {
		usage += " COMMAND"
	}
	fmt.Fprintf(w, "\nUsage:\n  %s\n", usage)
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		printCommands(w, cmd)
	}
	if !cmd.HasParent() {
		fmt.Fprintf(w, "\n%s\n", exitCodes)
	}
	for _, g := range flagGroups(cmd) {
		printFlags(w, g.title, g.flags, width)
	}
}

// prose breaks lines anew where some are wider than the window. What is indented stays.
func prose(text string, width int) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		lines := strings.Split(p, "\n")
		wide := slices.ContainsFunc(lines, func(l string) bool { return utf8.RuneCountInString(l) > width })
		if wide && !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, " ") }) {
			paragraphs[i] = strings.ReplaceAll(wrap(strings.Join(lines, " "), width, "", "\r"), "\r", "")
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// A flagGroup is what help shows under one title.
type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

// flagGroups sorts the flags of a command into groups.
func flagGroups(cmd *cobra.Command) []flagGroup {
	if !cmd.HasParent() {
		return []flagGroup{{"Flags", cmd.LocalFlags()}}
	}
	left := pflag.NewFlagSet("", pflag.ContinueOnError)
	left.AddFlagSet(cmd.LocalFlags())
	var all []flagGroup
	grouped := make(map[string]bool)
	for _, g := range groups {
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		fs.SortFlags = false
		for _, name := range g.flags {
			if f := left.Lookup(name); f != nil {
				fs.AddFlag(f)
				grouped[name] = true
			}
		}
		all = append(all, flagGroup{g.title, fs})
	}
	general := pflag.NewFlagSet("", pflag.ContinueOnError)
	left.VisitAll(func(f *pflag.Flag) {
		if !grouped[f.Name] {
			general.AddFlag(f)
		}
	})
	general.AddFlagSet(cmd.InheritedFlags())
	return append(all, flagGroup{"General", general})
}

// flagText is the placeholder of a flag, and what it does in one line.
func flagText(f *pflag.Flag) (placeholder, text string) {
	placeholder, text = pflag.UnquoteUsage(f)
	text = strings.Join(strings.Fields(strings.TrimPrefix(text, placeholder+": ")), " ")
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" && !strings.Contains(text, "(default") {
		text += " (default " + f.DefValue + ")"
	}
	return placeholder, text
}

// printFlags writes a group: each flag with its placeholder, and beside it, or below
// where there is no room, what it does.
func printFlags(w io.Writer, title string, fs *pflag.FlagSet, width int) {
	if !fs.HasAvailableFlags() {
		return
	}
	column := 26
	if width < 2*column {
		column = 8 // below the flag
	}
	indent := strings.Repeat(" ", column)
	fmt.Fprintf(w, "\n%s:\n", title)
	fs.VisitAll(func(f *pflag.Flag) {
		placeholder, text := flagText(f)
		name := "      --" + f.Name
		if f.Shorthand != "" {
			name = "  -" + f.Shorthand + ", --" + f.Name
		}
		if f.NoOptDefVal != "" && f.Value.Type() != "bool" {
			name += "[=" + placeholder + "]"
		} else if placeholder != "" {
			name += " " + placeholder
		}
		if len(name)+2 > column {
			fmt.Fprintln(w, name)
			name = ""
		}
		line := fmt.Sprintf("%-*s%s", column, name, text)
		fmt.Fprintln(w, wrapText(line, column, indent, width))
	})
}

// wrapText wraps what follows the first columns of a line.
func wrapText(line string, column int, indent string, width int) string {
	return line[:column] + strings.TrimPrefix(wrap(indent+line[column:], width, "", indent), indent)
}

// printCommands lists commands and, apart from them, pages.
func printCommands(w io.Writer, cmd *cobra.Command) {
	width := cmd.NamePadding()
	for _, t := range topics {
		width = max(width, len(t.name)+1)
	}
	fmt.Fprintln(w, "\nCommands:")
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			fmt.Fprintf(w, "  %-*s %s\n", width, c.Name(), c.Short)
		}
	}
	fmt.Fprintln(w, "\nPages, with bundle help PAGE:")
	for _, t := range topics {
		fmt.Fprintf(w, "  %-*s %s\n", width, t.name, t.short)
	}
}
