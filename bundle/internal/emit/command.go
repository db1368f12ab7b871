package emit

import (
	"path/filepath"

	"bundle/bundle/internal/words"
)

// commands is the whole sequence that installs the chart: each needs what those
// before it have made.
func (c *Chart) commands(o Options) []string {
	var all []string
	if o.PullSecret != "" {
		if c.Record.Namespace != "default" {
			all = append(all, words.Command([]string{"kubectl", "create", "namespace", c.Record.Namespace}))
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
	return words.Command([]string{"kubectl", "create", "secret", "docker-registry", o.PullSecret, "--namespace", c.Record.Namespace,
		"--docker-server=" + o.Registry.Host}) + ` --docker-username=USER --docker-password="$(cat PASSWORD-FILE)"`
}

// helmInstall is the command that installs the chart with the emitted files. With a
// post-renderer it is one for Helm 3, which runs a command, and for Helm 4, which
// runs a plugin of that name.
func (c *Chart) helmInstall(o Options) string {
	r := c.Record
	args := []string{"helm", "upgrade", "--install", r.Release, "oci://" + c.Naming.Chart(r.Name), "--version", r.Version}
	if c.beside {
		args = []string{"helm", "upgrade", "--install", r.Release, o.shown(c.archive())}
	}
	args = append(args, "--namespace", r.Namespace, "--create-namespace")
	for _, f := range c.files() {
		args = append(args, "-f", o.shown(f))
	}
	for _, s := range r.Set {
		args = append(args, "--set", s)
	}
	if len(c.unread()) > 0 {
		args = append(args, "--skip-schema-validation")
	}
	if !c.beside {
		args = append(args, o.helmAccess()...)
	}
	prefix := ""
	if c.postRendered() {
		prefix = "HELM_PLUGINS=" + words.Quote(o.shown(plugins)) + " "
		args = append(args, "--post-renderer", "bundle", "--post-renderer-args", "postrender",
			"--post-renderer-args", "--map="+o.shown(c.dir, "rewrite.map"))
	}
	return prefix + words.Command(args)
}

// helmLogin is the command that helm has to be logged in with.
func (o Options) helmLogin() string {
	args := []string{"helm", "registry", "login", o.Registry.Host}
	for _, w := range o.helmAccess() {
		if w == "--insecure-skip-tls-verify" {
			w = "--insecure" // what login calls it
		}
		args = append(args, w)
	}
	return words.Command(args)
}

// helmAccess are helm's words for how the registry is reached.
func (o Options) helmAccess() (args []string) {
	if o.Access.Plain(o.Registry.Host) {
		args = append(args, "--plain-http")
	}
	if o.Access.Insecure(o.Registry.Host) {
		args = append(args, "--insecure-skip-tls-verify")
	}
	if ca := o.Access.CAFile; ca != "" {
		args = append(args, "--ca-file", filepath.ToSlash(ca))
	}
	if o.Access.ClientCert != "" {
		args = append(args, "--cert-file", filepath.ToSlash(o.Access.ClientCert), "--key-file", filepath.ToSlash(o.Access.ClientKey))
	}
	return args
}

// kustomize is the command that installs the rendered folder.
func (c *Chart) kustomizeApply(o Options) string {
	return words.Command([]string{"kubectl", "apply", "--namespace", c.Record.Namespace, "-k", o.shown(c.dir, "kustomize")})
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
