package emit

import (
	"path/filepath"
	"slices"
	"strings"
)

// helmInstall is the command that installs the chart with the emitted files.
func (c *Chart) helmInstall(o Options) string {
	r := c.Record
	words := []string{"helm", "install", r.Release, "oci://" + c.Naming.Chart(r.Name), "--version", r.Version}
	if c.beside {
		words = []string{"helm", "install", r.Release, filepath.Join(o.OutputDir, c.archive())}
	}
	words = append(words, "--namespace", r.Namespace, "--create-namespace")
	for _, f := range c.files() {
		words = append(words, "-f", filepath.Join(o.OutputDir, f))
	}
	for _, s := range r.Set {
		words = append(words, "--set", s)
	}
	if !c.beside && slices.Contains(o.Access.PlainHTTP, o.Registry.Host) {
		words = append(words, "--plain-http")
	}
	if ca := o.Access.CAFile; !c.beside && ca != "" {
		words = append(words, "--ca-file", ca)
	}
	for i, w := range words {
		words[i] = shellQuote(w)
	}
	return strings.Join(words, " ")
}

// header stands above the emitted values.
func (c *Chart) header(o Options) []string {
	lines := []string{
		"Values with which " + c.Record.Label() + " pulls its images from " + c.Naming.Registry.String() + ".",
		"Derived by rendering the chart and proved by rendering it again.",
	}
	if o.OutputDir != "" {
		lines = append(lines, "", c.helmInstall(o))
	}
	return lines
}

// shellQuote quotes s where a POSIX shell would not take it as one word.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
