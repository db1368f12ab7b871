package emit

import (
	"path/filepath"
	"strings"
)

// commands is the whole sequence that installs the chart: each needs what those
// before it have made.
func (c *Chart) commands(o Options) []string {
	var all []string
	if o.PullSecret != "" {
		if c.Record.Namespace != "default" {
			all = append(all, shellWords([]string{"kubectl", "create", "namespace", c.Record.Namespace}))
		}
		all = append(all, c.kubectlSecret(o))
	}
	if !c.beside && (!o.Access.Plain(o.Registry.Host) || o.Access.LoggedIn(o.Registry.Host)) {
		all = append(all, o.helmLogin())
	}
	return append(all, c.helmInstall(o))
}

// kubectlSecret is the command that makes the pull secret. The password comes from
// a file, and so not into the history of the shell.
func (c *Chart) kubectlSecret(o Options) string {
	return shellWords([]string{"kubectl", "create", "secret", "docker-registry", o.PullSecret, "--namespace", c.Record.Namespace,
		"--docker-server=" + o.Registry.Host}) + ` --docker-username=USER --docker-password="$(cat PASSWORD-FILE)"`
}

// helmInstall is the command that installs the chart with the emitted files. With a
// post-renderer it is one for Helm 3, which runs a command, and for Helm 4, which
// runs a plugin of that name.
func (c *Chart) helmInstall(o Options) string {
	r := c.Record
	words := []string{"helm", "upgrade", "--install", r.Release, "oci://" + c.Naming.Chart(r.Name), "--version", r.Version}
	if c.beside {
		words = []string{"helm", "upgrade", "--install", r.Release, o.shown(c.archive())}
	}
	words = append(words, "--namespace", r.Namespace, "--create-namespace")
	for _, f := range c.files() {
		words = append(words, "-f", o.shown(f))
	}
	for _, s := range r.Set {
		words = append(words, "--set", s)
	}
	if len(c.unread()) > 0 {
		words = append(words, "--skip-schema-validation")
	}
	if !c.beside {
		words = append(words, o.helmAccess()...)
	}
	prefix := ""
	if c.postRendered() {
		prefix = "HELM_PLUGINS=" + shellQuote(o.shown(plugins)) + " "
		words = append(words, "--post-renderer", "bundle", "--post-renderer-args", "postrender",
			"--post-renderer-args", "--map="+o.shown(c.dir, "rewrite.map"))
	}
	return prefix + shellWords(words)
}

// helmLogin is the command that helm has to be logged in with.
func (o Options) helmLogin() string {
	words := []string{"helm", "registry", "login", o.Registry.Host}
	for _, w := range o.helmAccess() {
		if w == "--insecure-skip-tls-verify" {
			w = "--insecure" // what login calls it
		}
		words = append(words, w)
	}
	return shellWords(words)
}

// helmAccess are helm's words for how the registry is reached.
func (o Options) helmAccess() (words []string) {
	if o.Access.Plain(o.Registry.Host) {
		words = append(words, "--plain-http")
	}
	if o.Access.Insecure(o.Registry.Host) {
		words = append(words, "--insecure-skip-tls-verify")
	}
	if ca := o.Access.CAFile; ca != "" {
		words = append(words, "--ca-file", filepath.ToSlash(ca))
	}
	if o.Access.ClientCert != "" {
		words = append(words, "--cert-file", filepath.ToSlash(o.Access.ClientCert), "--key-file", filepath.ToSlash(o.Access.ClientKey))
	}
	return words
}

// kustomize is the command that installs the rendered folder.
func (c *Chart) kustomizeApply(o Options) string {
	return shellWords([]string{"kubectl", "apply", "--namespace", c.Record.Namespace, "-k", o.shown(c.dir, "kustomize")})
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

// shown is a file below the output folder as commands name it: with slashes, which no
// shell of Windows takes for anything else either.
func (o Options) shown(names ...string) string {
	return filepath.ToSlash(filepath.Join(append([]string{o.OutputDir}, names...)...))
}

// shellWords joins words to a command.
func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellQuote(w)
	}
	return strings.Join(quoted, " ")
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
