// Package nodes writes what makes the container runtimes of nodes pull from a
// registry by the names that images have at their source: containerd's hosts.toml,
// registries.conf.d of CRI-O and Podman, registries.yaml of k3s and RKE2, and the
// mirror sets of OpenShift.
//
// The contract: what the files do is known here as well. [Config.Containerd] and
// [Config.Others] say where a node looks for a repository, from the same rules that
// are written; so whoever says that a mirror moves something can prove it. Each file
// begins with where it goes and what to restart. Nothing is read or written.
//
//	c := nodes.New(nodes.Registry{Host: "reg.local:5000"}, prefix, moves)
//	path, ok := c.Containerd("ghcr.io", "acme/app") // apps/acme/app, true
//	for _, f := range c.Files() { … }
//
// # How names are mapped
//
// containerd maps a host to a prefix in the registry and no more, so it cannot follow
// an image that the user gave another path, nor flat names. The others map any
// repository: what the prefix of its host does not lead to has a rule of its own.
package nodes

import (
	"cmp"
	"slices"
	"strings"
)

// A Registry is what nodes pull from.
type Registry struct {
	Host     string // host[:port]
	Plain    bool   // without TLS
	Insecure bool   // its certificate is not verified
	CA       []byte // PEM that nodes have to trust; nil: they do already
	// Asked is for a registry that containerd tells the source's host with each
	// question (?ns=): it needs no prefix for it.
	Asked bool
}

// A Move is one repository, at its source and in the registry.
type Move struct {
	Host, Path string // at the source: docker.io, library/web
	To         string // path in the registry
}

// A Config knows where nodes look for what they pull.
type Config struct {
	registry Registry
	hosts    []host // sorted by name
}

// A host is one source.
type host struct {
	name   string
	prefix string            // path in the registry where its paths are continued
	whole  bool              // there is such a path
	repos  map[string]string // path → path in the registry, where the prefix does not lead there, or there is none
	paths  []string          // of all repositories that are known, sorted
}

// New finds rules for all moves. prefix is the path below which the registry has what
// comes from a host, and false where no path is that. Where one repository went to
// several, nodes look in the one where its prefix leads, or else in the first by name.
func New(r Registry, prefix func(host string) (string, bool), moves []Move) *Config {
	targets := make(map[string]map[string][]string) // host → path → paths in the registry
	for _, m := range moves {
		if m.Host == r.Host {
			continue // they are there under their own names
		}
		if targets[m.Host] == nil {
			targets[m.Host] = make(map[string][]string)
		}
		targets[m.Host][m.Path] = append(targets[m.Host][m.Path], m.To)
	}
	c := &Config{registry: r}
	for name, repos := range targets {
		h := host{name: name, repos: make(map[string]string)}
		h.prefix, h.whole = prefix(name)
		for path := range repos {
			h.paths = append(h.paths, path)
		}
		// A rule holds for what is below its repository, too. So the shorter come first.
		slices.SortFunc(h.paths, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
		for _, path := range h.paths {
			to := repos[path]
			if now, ok := h.look(path); !ok || !slices.Contains(to, now) {
				h.repos[path] = slices.Min(to)
			}
		}
		slices.Sort(h.paths)
		c.hosts = append(c.hosts, h)
	}
	slices.SortFunc(c.hosts, func(a, b host) int { return strings.Compare(a.name, b.name) })
	return c
}

// look is where the longest rule for a path leads.
func (h host) look(path string) (string, bool) {
	for at := path; at != ""; {
		if to, ok := h.repos[at]; ok {
			return to + path[len(at):], true
		}
		at = at[:max(0, strings.LastIndexByte(at, '/'))]
	}
	return join(h.prefix, path), h.whole
}

// Containerd is the path in the registry where containerd looks for a repository.
func (c *Config) Containerd(source, path string) (string, bool) {
	h, ok := c.host(source)
	if !ok || !h.whole {
		return "", false
	}
	return join(h.prefix, path), true
}

// Others is the path where CRI-O, Podman, k3s, RKE2 and OpenShift look for a
// repository of the moves.
func (c *Config) Others(source, path string) (string, bool) {
	h, ok := c.host(source)
	if !ok || !slices.Contains(h.paths, path) {
		return "", false
	}
	return h.look(path)
}

func (c *Config) host(name string) (host, bool) {
	i := slices.IndexFunc(c.hosts, func(h host) bool { return h.name == name })
	if i < 0 {
		return host{}, false
	}
	return c.hosts[i], true
}

// join puts paths together, of which the first may be empty.
func join(prefix, path string) string {
	if prefix == "" || path == "" {
		return prefix + path
	}
	return prefix + "/" + path
}
