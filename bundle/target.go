package bundle

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/relocate"
)

// A Registry is where an import pushes to: a host and an optional path below
// which everything lands.
type Registry struct {
	Host   string // registry.plant.local:5000
	Prefix string // apps, or empty
}

// ParseRegistry reads HOST[:PORT][/PREFIX].
func ParseRegistry(s string) (Registry, error) {
	bad := func(why string) error {
		return &UsageError{
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
	named, err := reference.ParseNormalizedNamed(probe)
	if err != nil || reference.Domain(named) != host {
		return Registry{}, bad("the host needs a dot or a port, and the prefix must be a repository path")
	}
	return Registry{host, prefix}, nil
}

func (r Registry) String() string {
	if r.Prefix == "" {
		return r.Host
	}
	return r.Host + "/" + r.Prefix
}

// Charts returns the repository below which charts are pushed, as helm writes
// it without oci://.
func (r Registry) Charts() string { return r.String() + "/charts" }

// A naming maps what charts and users write to names in the target registry.
type naming struct {
	registry Registry
	keepHost bool
	moved    map[string]digest.Digest // pinned source digest → digest inside, where a platform choice changed it
	chosen   map[string]string        // full source reference → path:tag that the user chose
}

func (n naming) target(raw string) string {
	if len(n.chosen) > 0 {
		if ref, err := ParseReference(raw); err == nil && n.chosen[ref.String()] != "" {
			return n.registry.String() + "/" + n.chosen[ref.String()]
		}
	}
	t := relocate.TargetName(strings.TrimPrefix(raw, "oci://"), n.registry.String(), n.keepHost)
	if name, pin, ok := strings.Cut(t, "@"); ok {
		if inside, changed := n.moved[pin]; changed {
			return name + "@" + inside.String()
		}
	}
	return t
}

// newNaming reads from the record which pinned digests are no longer true.
func newNaming(rec *Record, r Registry, keepHost bool) naming {
	n := naming{registry: r, keepHost: keepHost, moved: make(map[string]digest.Digest), chosen: make(map[string]string)}
	for _, im := range rec.Images {
		if im.Destination != "" {
			n.chosen[im.Reference] = im.Destination
		}
		if im.SourceDigest != "" {
			n.moved[im.SourceDigest.String()] = im.Digest
		}
	}
	return n
}

// A placement is one name that the target registry will have.
type placement struct {
	source string // reference in the bundle
	target Reference
	root   ocispec.Descriptor
}

// placements gathers the names for all images, and refuses two sources for
// one name.
type placements struct {
	naming naming
	byName map[string]placement
	order  []string
}

func newPlacements(n naming) *placements {
	return &placements{naming: n, byName: make(map[string]placement)}
}

// add places root under the name that raw becomes.
func (p *placements) add(raw, source string, root ocispec.Descriptor) error {
	return p.addAt(p.naming.target(raw), source, root)
}

// addAt places root under a given name.
func (p *placements) addAt(target, source string, root ocispec.Descriptor) error {
	ref, err := ParseReference(target)
	if err != nil {
		return fmt.Errorf("%s: its name in the target registry: %w", source, err)
	}
	if ref.Host != p.naming.registry.Host {
		return fmt.Errorf("%s: it would be pushed to %s, outside %s", source, ref, p.naming.registry)
	}
	// A tag beside a digest is a name too: it must not be claimed twice.
	key := ref.Repository() + ":" + ref.Tag
	if ref.Tag == "" {
		key = ref.Repository() + "@" + ref.Digest.String()
	}
	if old, ok := p.byName[key]; ok {
		if old.root.Digest == root.Digest {
			return nil
		}
		return &CollisionError{
			Target: key,
			First:  old.source + " (" + old.root.Digest.String() + ")",
			Second: source + " (" + root.Digest.String() + ")",
		}
	}
	p.byName[key] = placement{source, ref, root}
	p.order = append(p.order, key)
	return nil
}

// addOfficial places Docker's official images under library/ too, whatever the
// charts write: that is how a node asks a mirror of docker.io for them.
func (p *placements) addOfficial(rec *Record, roots map[string]ocispec.Descriptor) error {
	for _, im := range rec.Images {
		ref, err := ParseReference(im.Reference)
		if err != nil || ref.Host != "docker.io" || !strings.HasPrefix(ref.Path, "library/") {
			continue
		}
		if err := p.add(im.Reference, im.Reference, roots[im.Reference]); err != nil {
			return err
		}
	}
	return nil
}

// all returns the placements in the order they were added.
func (p *placements) all() []placement {
	list := make([]placement, len(p.order))
	for i, name := range p.order {
		list[i] = p.byName[name]
	}
	return list
}
