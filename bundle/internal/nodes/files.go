package nodes

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A File is one that nodes need.
type File struct {
	Path    string // a proposal: containerd/certs.d/ghcr.io/hosts.toml
	To      string // where it goes; empty: it is applied to the cluster
	Then    string // what to do when it is there
	Content []byte
}

// The folders and files of runtimes.
const (
	containerdDir = "/etc/containerd/certs.d"
	confDir       = "/etc/containers/registries.conf.d"
	certsDir      = "/etc/containers/certs.d"
)

// Files are all files, sorted by path.
func (c *Config) Files() []File {
	if len(c.hosts) == 0 {
		return nil
	}
	var all []File
	for _, h := range c.hosts {
		if h.whole {
			all = append(all, c.containerd(h)...)
		}
		all = append(all, c.conf(h))
	}
	if ca := c.registry.CA; ca != nil {
		all = append(all, File{Path: "certs.d/" + folder(c.registry.Host) + "/ca.crt", To: certsDir + "/" + c.registry.Host + "/ca.crt", Then: reload, Content: ca})
	}
	for _, d := range []distribution{
		{"k3s", "systemctl restart k3s, on agents k3s-agent"},
		{"rke2", "systemctl restart rke2-server, on agents rke2-agent"},
	} {
		all = append(all, c.registries(d)...)
	}
	all = append(all, c.mirrorSet("ImageDigestMirrorSet", "imageDigestMirrors"), c.mirrorSet("ImageTagMirrorSet", "imageTagMirrors"))
	if c.registry.CA != nil {
		all = append(all, c.trusted())
	}
	slices.SortFunc(all, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// folder is the name of a folder for a host: the colon before a port is no letter of
// names on Windows and on most media, and containerd reads HOST_PORT_ as well (hostDirectory in its hosts.go).
func folder(host string) string {
	i := strings.LastIndexByte(host, ':')
	if i <= 0 {
		return host
	}
	return host[:i] + "_" + host[i+1:] + "_"
}

func (c *Config) url() string {
	if c.registry.Plain {
		return "http://" + c.registry.Host
	}
	return "https://" + c.registry.Host
}

// containerd is what docs/hosts.md of containerd describes; the folder's name says for
// which host.
func (c *Config) containerd(h host) []File {
	dir := "/" + folder(h.name)
	f := File{Path: "containerd/certs.d" + dir + "/hosts.toml", To: containerdDir + dir + "/hosts.toml"}
	f.Then = fmt.Sprintf("restart nothing: containerd reads it at each pull. Only where config_path = %q is new in its config.toml: systemctl restart containerd", containerdDir)
	url, override := c.url(), h.prefix != "" && !c.registry.Asked
	if override {
		url += "/v2/" + h.prefix
	}
	var b bytes.Buffer
	head(&b, f)
	ca := File{Path: strings.TrimSuffix(f.Path, "hosts.toml") + "ca.crt", To: containerdDir + dir + "/ca.crt", Then: f.Then, Content: c.registry.CA}
	if c.registry.CA != nil {
		fmt.Fprintf(&b, "# beside it: ca.crt, to %s\n", ca.To)
	}
	fmt.Fprintf(&b, "[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", url)
	if override {
		b.WriteString("  override_path = true\n")
	}
	if c.registry.Insecure {
		b.WriteString("  skip_verify = true\n")
	}
	if c.registry.CA == nil {
		f.Content = b.Bytes()
		return []File{f}
	}
	b.WriteString("  ca = \"ca.crt\"\n")
	f.Content = b.Bytes()
	return []File{f, ca}
}

// reload makes CRI-O read its files anew.
const reload = "systemctl reload crio; Podman and skopeo read it each time"

// conf is what containers-registries.conf(5) describes.
func (c *Config) conf(h host) File {
	name := "50-" + safe(h.name, "_") + ".conf"
	f := File{Path: "registries.conf.d/" + name, To: confDir + "/" + name, Then: reload}
	var b bytes.Buffer
	head(&b, f)
	if c.registry.CA != nil {
		fmt.Fprintf(&b, "# with it: certs.d/%s/ca.crt, to %s/%s/ca.crt\n", folder(c.registry.Host), certsDir, c.registry.Host)
	}
	for i, r := range h.rules() {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "[[registry]]\nprefix = %q\nlocation = %q\n\n[[registry.mirror]]\nlocation = %q\n", r.from, r.from, join(c.registry.Host, r.to))
		if c.registry.Plain || c.registry.Insecure {
			b.WriteString("insecure = true\n")
		}
	}
	f.Content = b.Bytes()
	return f
}

// A rule leads from a host, or a repository of one, to a path in the registry.
type rule struct{ from, to string }

// rules are those of a runtime that takes the longest that fits.
func (h host) rules() []rule {
	var all []rule
	if h.whole {
		all = append(all, rule{h.name, h.prefix})
	}
	for _, path := range slices.Sorted(maps.Keys(h.repos)) {
		all = append(all, rule{h.name + "/" + path, h.repos[path]})
	}
	return all
}

// rewrites are those of a runtime that takes any that fits: no two fit one name.
func (h host) rewrites() []rule {
	switch {
	case h.whole && h.prefix == "" && len(h.repos) == 0:
		return nil
	case h.whole && len(h.repos) == 0:
		return []rule{{"^(.*)$", h.prefix + "/$1"}}
	}
	var all []rule
	for _, path := range h.paths {
		to, _ := h.look(path)
		all = append(all, rule{"^" + regexp.QuoteMeta(path) + "$", to})
	}
	return all
}

// A distribution of Kubernetes reads /etc/rancher/NAME/registries.yaml.
type distribution struct{ name, restart string }

// registries is what the "private registry" pages of k3s and RKE2 describe.
func (c *Config) registries(d distribution) []File {
	dir := "/etc/rancher/" + d.name
	f := File{Path: d.name + "/registries.yaml", To: dir + "/registries.yaml", Then: d.restart}
	ca := File{Path: d.name + "/ca.crt", To: dir + "/registry-ca.crt", Then: d.restart, Content: c.registry.CA}
	var b bytes.Buffer
	head(&b, f)
	b.WriteString("# Where there is one already, its entries belong into this one.\n")
	if ca.Content != nil {
		fmt.Fprintf(&b, "# beside it: ca.crt, to %s\n", ca.To)
	}
	b.WriteString("mirrors:\n")
	for _, h := range c.hosts {
		fmt.Fprintf(&b, "  %q:\n    endpoint:\n      - %q\n", h.name, c.url())
		for i, r := range h.rewrites() {
			if i == 0 {
				b.WriteString("    rewrite:\n")
			}
			fmt.Fprintf(&b, "      %q: %q\n", r.from, r.to)
		}
	}
	if ca.Content != nil || c.registry.Insecure {
		fmt.Fprintf(&b, "configs:\n  %q:\n    tls:\n", c.registry.Host)
	}
	if ca.Content != nil {
		fmt.Fprintf(&b, "      ca_file: %q\n", ca.To)
	}
	if c.registry.Insecure {
		b.WriteString("      insecure_skip_verify: true\n")
	}
	f.Content = b.Bytes()
	if ca.Content == nil {
		return []File{f}
	}
	return []File{f, ca}
}

// mirrorSet is one of config.openshift.io/v1: the one is for names with a digest, the
// other for those with a tag.
func (c *Config) mirrorSet(kind, list string) File {
	f := File{Path: "openshift/" + kind + ".yaml", Then: "restart nothing: the Machine Config Operator does it, node by node"}
	var b bytes.Buffer
	head(&b, f)
	if c.registry.Plain || c.registry.Insecure {
		fmt.Fprintf(&b, "# The registry has to stand in spec.registrySources.insecureRegistries of image.config.openshift.io/cluster: %s\n", c.registry.Host)
	}
	fmt.Fprintf(&b, "apiVersion: config.openshift.io/v1\nkind: %s\nmetadata:\n  name: %s\nspec:\n  %s:\n", kind, c.objectName(), list)
	for _, h := range c.hosts {
		for _, r := range h.rules() {
			fmt.Fprintf(&b, "    - source: %q\n      mirrors:\n        - %q\n", r.from, join(c.registry.Host, r.to))
		}
	}
	f.Content = b.Bytes()
	return f
}

// trusted has the nodes of OpenShift trust the CA: a colon in the key is two dots.
func (c *Config) trusted() File {
	name := c.objectName() + "-ca"
	f := File{Path: "openshift/ConfigMap.yaml", Then: fmt.Sprintf(`oc patch image.config.openshift.io/cluster --type merge -p '{"spec":{"additionalTrustedCA":{"name":%q}}}'`, name)}
	var b bytes.Buffer
	head(&b, f)
	fmt.Fprintf(&b, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  namespace: openshift-config\ndata:\n  %q: |\n", name, strings.ReplaceAll(c.registry.Host, ":", ".."))
	for line := range strings.Lines(strings.TrimRight(string(c.registry.CA), "\n") + "\n") {
		b.WriteString("    " + strings.TrimRight(line, "\r\n") + "\n")
	}
	f.Content = b.Bytes()
	return f
}

// objectName is a name for objects that another registry's do not replace.
func (c *Config) objectName() string {
	return "bundle-" + strings.Trim(safe(c.registry.Host, "-"), "-.")
}

// head says where a file goes and what is to be done then.
func head(b *bytes.Buffer, f File) {
	if f.To == "" {
		fmt.Fprintf(b, "# oc apply -f %s\n", f.Path[strings.LastIndexByte(f.Path, '/')+1:])
	} else {
		fmt.Fprintf(b, "# to %s\n", f.To)
	}
	fmt.Fprintf(b, "# then: %s\n", f.Then)
}

// safe puts another character in place of what names of files and objects do not have.
func safe(s, other string) string {
	return regexp.MustCompile(`[^a-z0-9.-]`).ReplaceAllLiteralString(strings.ToLower(s), other)
}
