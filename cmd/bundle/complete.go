package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// complete tells the shell what may stand for an argument and for the flags that
// several commands have.
func complete(cmd *cobra.Command) {
	if strings.Contains(cmd.Use, "BUNDLE") || strings.Contains(cmd.Use, "DELTA") {
		cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"tar", "001", "head"}, cobra.ShellCompDirectiveFilterFileExt
		}
	}
	flags := cmd.Flags()
	if f := flags.Lookup("key"); f != nil && strings.Contains(f.Usage, "FILE.pub") {
		_ = cmd.MarkFlagFilename("key", "pub")
	}
	for _, name := range []string{"output", "output-dir", "scratch", "render", "state", "tool-dir"} {
		if f := flags.Lookup(name); f != nil && (name != "output" || strings.Contains(f.Usage, "`FOLDER`")) {
			_ = cmd.MarkFlagDirname(name)
		}
	}
	if flags.Lookup("config") != nil {
		_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	}
	for name, values := range map[string][]string{
		"platform":   {"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/ppc64le", "linux/s390x", "windows/amd64"},
		"with-tool":  {"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"},
		"gitops":     {"flux", "argocd", "kustomize"},
		"names":      {"full", "host", "flat"},
		"parity":     {"1", "2", "3"},
		"split-size": {"fat32", "cd", "bd25", "bd50", "bd100"},
	} {
		if flags.Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		}
	}
}
