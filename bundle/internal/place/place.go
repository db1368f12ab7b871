// Package place decides which names images and charts get in the target
// registry.
//
// The contract: it is pure, and what is pushed under a name is exactly what the
// emitted values make Helm ask for. Two contents for one name are a
// *CollisionError.
//
//	names := place.NewNames(b.Record, registry, false)
//	places, err := place.All(b, names, nil, true)
package place

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/relocate"
)

// A Names maps what charts and users write to names in the target registry.
type Names struct {
	Registry Registry
	keepHost bool
	moved    map[string]digest.Digest // pinned source digest → digest inside, where a platform choice changed it
	chosen   map[string]string        // full source reference → path:tag that the user chose
}

func (n Names) Target(raw string) string {
	if len(n.chosen) > 0 {
		if ref, err := name.Parse(raw); err == nil && n.chosen[ref.String()] != "" {
			return n.Registry.String() + "/" + n.chosen[ref.String()]
		}
	}
	t := relocate.TargetName(strings.TrimPrefix(raw, "oci://"), n.Registry.String(), n.keepHost)
	if name, pin, ok := strings.Cut(t, "@"); ok {
		if inside, changed := n.moved[pin]; changed {
			return name + "@" + inside.String()
		}
	}
	return t
}

// NewNames reads from the record which pinned digests are no longer true.
func NewNames(rec *record.Record, r Registry, keepHost bool) Names {
	n := Names{Registry: r, keepHost: keepHost, moved: make(map[string]digest.Digest), chosen: make(map[string]string)}
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

// A Placement is one name that the target registry will have.
type Placement struct {
	Source string // reference in the bundle
	Target name.Reference
	Root   ocispec.Descriptor
}

// placements gathers the names for all images, and refuses two sources for
// one name.
type placements struct {
	naming Names
	byName map[string]Placement
	order  []string
}

func newPlacements(n Names) *placements {
	return &placements{naming: n, byName: make(map[string]Placement)}
}

// add places root under the name that raw becomes.
func (p *placements) add(raw, source string, root ocispec.Descriptor) error {
	return p.addAt(p.naming.Target(raw), source, root)
}

// addAt places root under a given name.
func (p *placements) addAt(target, source string, root ocispec.Descriptor) error {
	ref, err := name.Parse(target)
	if err != nil {
		return fmt.Errorf("%s: its name in the target registry: %w", source, err)
	}
	if ref.Host != p.naming.Registry.Host {
		return fmt.Errorf("%s: it would be pushed to %s, outside %s", source, ref, p.naming.Registry)
	}
	// A tag beside a digest is a name too: it must not be claimed twice.
	key := ref.Repository() + ":" + ref.Tag
	if ref.Tag == "" {
		key = ref.Repository() + "@" + ref.Digest.String()
	}
	if old, ok := p.byName[key]; ok {
		if old.Root.Digest == root.Digest {
			return nil
		}
		return &CollisionError{
			Target: key,
			First:  old.Source + " (" + old.Root.Digest.String() + ")",
			Second: source + " (" + root.Digest.String() + ")",
		}
	}
	p.byName[key] = Placement{source, ref, root}
	p.order = append(p.order, key)
	return nil
}

// addOfficial places Docker's official images under library/ too, whatever the
// charts write: that is how a node asks a mirror of docker.io for them.
func (p *placements) addOfficial(rec *record.Record, roots map[string]ocispec.Descriptor) error {
	for _, im := range rec.Images {
		ref, err := name.Parse(im.Reference)
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
func (p *placements) all() []Placement {
	list := make([]Placement, len(p.order))
	for i, name := range p.order {
		list[i] = p.byName[name]
	}
	return list
}

// place decides the name of every image and chart in the target registry.
//
// seen are, for charts rendered here, the references as they are written there:
// values given here may show another spelling than the export saw.
func All(b *open.Bundle, names Names, seen []map[string]string, withCharts bool) ([]Placement, error) {
	ps := newPlacements(names)
	roots := make(map[string]ocispec.Descriptor)
	for _, d := range b.Index.Manifests {
		roots[d.Annotations[ocispec.AnnotationRefName]] = d
	}
	for _, im := range b.Record.Images {
		if len(im.Found) == 0 {
			if err := ps.add(im.Reference, im.Reference, roots[im.Reference]); err != nil {
				return nil, err
			}
		}
		for _, f := range im.Found {
			if err := ps.add(f.Raw, im.Reference, roots[im.Reference]); err != nil {
				return nil, err
			}
		}
	}
	if err := ps.addOfficial(b.Record, roots); err != nil {
		return nil, err
	}
	for _, refs := range seen {
		for raw, source := range refs {
			if err := ps.add(raw, source, roots[source]); err != nil {
				return nil, err
			}
		}
	}
	charted := b.Record.Charts
	if !withCharts {
		charted = nil
	}
	for _, c := range charted {
		target := names.Registry.Charts() + "/" + c.Name + ":" + record.Tag(c.Version)
		if err := ps.addAt(target, c.Reference, roots[c.Reference]); err != nil {
			return nil, err
		}
	}
	if err := ps.addReferrers(b, roots); err != nil {
		return nil, err
	}
	return ps.all(), nil
}

// A CollisionError is two sources that would land on one name in the target
// registry.
type CollisionError struct {
	Target string
	First  string // reference@digest
	Second string
}

func (e *CollisionError) Error() string {
	return fmt.Sprintf("%s and %s would both become %s", e.First, e.Second, e.Target)
}

// Fault says how to keep the two apart.
func (e *CollisionError) Fault() (fault.Kind, string) {
	return fault.Failed, "keep the source host in the target names with --keep-registry-host"
}
