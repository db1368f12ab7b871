// Package place decides which names images and charts get in the target
// registry.
//
// The contract: it is pure, and what is pushed under a name is exactly what the
// emitted values make Helm ask for. Two contents for one name are a
// *CollisionError.
//
//	names := place.NewNames(b.Record, registry, place.Full)
//	places, err := place.All(b, names, place.Options{})
package place

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/record"
)

// A Names maps what charts and users write to names in the target registry.
type Names struct {
	Registry Registry
	Naming   Naming
	moved    map[string]digest.Digest // pinned source digest → digest inside, where a platform choice changed it
	chosen   map[string]string        // full source reference → path:tag that the user chose
	excluded map[string]bool          // full source references that stay where they are
}

// NewNames reads from the record which pinned digests are no longer true.
func NewNames(rec *record.Record, r Registry, naming Naming) Names {
	n := Names{
		Registry: r, Naming: naming,
		moved: make(map[string]digest.Digest), chosen: make(map[string]string), excluded: make(map[string]bool),
	}
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

// Exclude leaves images of the record outside: they are not pushed, and what
// names them stays as it is. It returns how the record calls them. A reference
// that nothing inside has is a mistake.
func (n Names) Exclude(rec *record.Record, refs []string) ([]string, error) {
	var all []string
	for _, raw := range refs {
		ref, err := name.Parse(raw)
		if err != nil {
			return nil, &fault.UsageError{What: "--exclude: " + err.Error()}
		}
		before := len(all)
		for _, im := range rec.Images {
			spellings := spellings(im)
			if !slices.Contains(spellings, ref.String()) {
				continue
			}
			for _, s := range spellings {
				n.excluded[s] = true
			}
			all = append(all, im.Reference)
		}
		if len(all) == before {
			return nil, &fault.UsageError{What: fmt.Sprintf("--exclude %s: it is not in the bundle", raw), Advice: "see bundle inspect BUNDLE"}
		}
	}
	return all, nil
}

// spellings are all full references that mean an image of the record.
func spellings(im record.Image) []string {
	all := []string{im.Reference}
	for _, f := range im.Found {
		if ref, err := name.Parse(f.Raw); err == nil && !slices.Contains(all, ref.String()) {
			all = append(all, ref.String())
		}
	}
	return all
}

// Target is the name of what charts and users write as raw.
func (n Names) Target(raw string) string {
	if len(n.chosen) > 0 {
		if ref, err := name.Parse(raw); err == nil && n.chosen[ref.String()] != "" {
			return n.Registry.String() + "/" + n.chosen[ref.String()]
		}
	}
	t := n.Naming.target(strings.TrimPrefix(raw, "oci://"), n.Registry.String())
	if name, pin, ok := strings.Cut(t, "@"); ok {
		if inside, changed := n.moved[pin]; changed {
			return name + "@" + inside.String()
		}
	}
	return t
}

// Held are the repositories below the target that may be what a delta calls repo: see
// record.Layer.
func (n Names) Held(repo string) []string {
	ref, err := name.Parse(repo)
	if err != nil {
		return nil
	}
	if ref.Host == name.LocalHost {
		return []string{n.Registry.String() + "/" + ref.Path}
	}
	var all []string
	if ref.Host == n.Registry.Host {
		all = append(all, repo)
	}
	if there, err := name.Parse(n.Target(repo)); err == nil && there.Host == n.Registry.Host && !slices.Contains(all, there.Repository()) {
		all = append(all, there.Repository())
	}
	return all
}

// Moves reports whether raw gets that name, and is not excluded.
func (n Names) Moves(raw string) bool {
	if len(n.excluded) == 0 {
		return true
	}
	ref, err := name.Parse(raw)
	return err != nil || !n.excluded[ref.String()]
}

// Chart is the repository of a chart, as helm writes it without oci://.
func (n Names) Chart(name string) string {
	if n.Naming == Flat {
		return n.Registry.String() + "/" + name
	}
	return n.Registry.String() + "/charts/" + name
}

// A Kind says what a name in the target registry is for.
type Kind int

const (
	Image Kind = iota
	Chart
	Referrer // a signature, an SBOM or the like, attached to one of the others
)

// A Placement is one name that the target registry will have.
type Placement struct {
	Source string // reference in the bundle
	Target name.Reference
	Root   ocispec.Descriptor
	Kind   Kind

	Subject digest.Digest // of a referrer that its subject's list has to name, empty for one that is found by its tag
}

// placements gathers the names for all images, and refuses two sources for
// one name.
type placements struct {
	naming Names
	kind   Kind          // of what is added
	listed digest.Digest // its subject
	byName map[string]Placement
	order  []string
}

func newPlacements(n Names) *placements {
	return &placements{naming: n, byName: make(map[string]Placement)}
}

// add places root under the name that raw becomes.
func (p *placements) add(raw, source string, root ocispec.Descriptor) error {
	if !p.naming.Moves(raw) {
		return nil
	}
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
	key := key(ref)
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
	p.byName[key] = Placement{Source: source, Target: ref, Root: root, Kind: p.kind, Subject: p.listed}
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

// Options say what gets a name, besides images.
type Options struct {
	// Seen are, for charts rendered here, the references as they are written
	// there, with their names in the bundle: values given here may show another
	// spelling than the export saw.
	Seen []map[string]string

	NoCharts    bool
	NoReferrers bool
	TagDigests  bool // names without a tag get one, see digestTag
}

// All decides the name of everything in the target registry: images, then
// charts, then referrers.
func All(b *open.Bundle, names Names, o Options) ([]Placement, error) {
	ps := newPlacements(names)
	roots := make(map[string]ocispec.Descriptor)
	for _, d := range b.Index.Manifests {
		roots[d.Annotations[ocispec.AnnotationRefName]] = d
	}
	if err := ps.addImages(b.Record, roots); err != nil {
		return nil, err
	}
	for _, refs := range o.Seen {
		for _, raw := range slices.Sorted(maps.Keys(refs)) {
			if err := ps.add(raw, refs[raw], roots[refs[raw]]); err != nil {
				return nil, err
			}
		}
	}
	if ps.kind = Chart; !o.NoCharts {
		for _, c := range b.Record.Charts {
			if err := ps.addAt(names.Chart(c.Name)+":"+record.Tag(c.Version), c.Reference, roots[c.Reference]); err != nil {
				return nil, err
			}
		}
	}
	if ps.kind = Referrer; !o.NoReferrers {
		if err := ps.addReferrers(b, roots); err != nil {
			return nil, err
		}
	}
	all := ps.all()
	if o.TagDigests {
		for i, pl := range all {
			if pl.Target.Tag == "" {
				all[i].Target.Tag = digestTag(pl.Target.Digest)
			}
		}
	}
	return all, nil
}

// digestTag is the tag of what is named by digest alone, for registries whose
// clean-up takes what has no tag. It is none that signatures and referrers have,
// which begin with the algorithm.
func digestTag(d digest.Digest) string { return "digest-" + d.Encoded() }

// addImages places every image of a record under the names by which it was found.
func (p *placements) addImages(rec *record.Record, roots map[string]ocispec.Descriptor) error {
	for _, im := range rec.Images {
		if !p.naming.Moves(im.Reference) {
			continue
		}
		if len(im.Found) == 0 {
			if err := p.add(im.Reference, im.Reference, roots[im.Reference]); err != nil {
				return err
			}
		}
		for _, f := range im.Found {
			if err := p.add(f.Raw, im.Reference, roots[im.Reference]); err != nil {
				return err
			}
		}
	}
	return p.addOfficial(rec, roots)
}
