package place

import (
	"fmt"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
)

// A Registry is where an import pushes to: a host and an optional path below
// which everything lands.
type Registry struct {
	Host   string // registry.plant.local:5000
	Prefix string // apps, or empty
}

// ParseRegistry reads HOST[:PORT][/PREFIX]. Hosts are the same in any case.
func ParseRegistry(s string) (Registry, error) {
	bad := func(why string) error {
		return &fault.UsageError{
			What:   fmt.Sprintf("registry %q: %s", s, why),
			Advice: "want HOST[:PORT][/PREFIX], for example registry.plant.local:5000/apps",
		}
	}
	if strings.Contains(s, "://") {
		return Registry{}, bad("it must not have a scheme")
	}
	host, prefix, _ := strings.Cut(strings.TrimSuffix(s, "/"), "/")
	probe := host + "/x"
	if prefix != "" {
		probe = host + "/" + prefix + "/x"
	}
	ref, err := name.Parse(probe)
	if strings.ToLower(prefix) != prefix {
		return Registry{}, bad("the prefix has upper case in it, and repositories are lower-case")
	}
	if err != nil || ref.Host != host {
		return Registry{}, bad("the host needs a dot or a port, and the prefix must be a repository path")
	}
	return Registry{strings.ToLower(host), prefix}, nil
}

func (r Registry) String() string {
	if r.Prefix == "" {
		return r.Host
	}
	return r.Host + "/" + r.Prefix
}
