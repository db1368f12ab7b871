package chart

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"slices"

	"bundle/bundle/internal/lazy"
)

// identify gives every manifest its identity: its kind and name, or where it has
// no name or one of random its kind and its place among those of its kind.
func (o *Output) identify(random map[Document]bool) {
	o.byID = make(map[Document]*Manifest, len(o.Manifests))
	kinds, names := map[Document]int{}, map[Document]int{}
	for i := range o.Manifests {
		m := &o.Manifests[i]
		kind := Document{Template: m.Template, Kind: m.Kind, When: m.When}
		named := Document{Template: m.Template, Kind: m.Kind, Name: m.Name, When: m.When}
		m.ID, m.ID.Ordinal = kind, kinds[kind]
		kinds[kind]++
		if m.Name == "" {
			o.byID[m.ID] = m
			continue
		}
		named.Ordinal = names[named]
		names[Document{Template: m.Template, Kind: m.Kind, Name: m.Name, When: m.When}]++
		if !random[named] {
			m.ID = named
		}
		o.byID[m.ID] = m
	}
}

// Steady compares two renders of the same input and returns o with identities
// that depend on nothing random: a document whose name again does not have is
// known by its place.
func (o *Output) Steady(again *Output) *Output {
	random := map[Document]bool{}
	for id := range o.byID {
		if _, ok := again.byID[id]; !ok && id.Name != "" {
			random[id] = true
		}
	}
	c := o.copy()
	c.identify(random)
	return c
}

func (o *Output) copy() *Output {
	c := *o
	c.Manifests = slices.Clone(o.Manifests)
	return &c
}

// Like returns o with the identities of base, a render of the same chart with
// other values: documents of one template and kind are the same if they have the
// same name, or else, in their order, if their names are not the same but all the
// keys in them are, or if they have no name that lasts. Then positions mean the
// same in both.
func (o *Output) Like(base *Output) *Output {
	c := o.copy()
	c.byID = make(map[Document]*Manifest, len(c.Manifests))
	rest := map[Document][]*Manifest{} // of base, by template and kind
	for i := range base.Manifests {
		m := &base.Manifests[i]
		if _, ok := o.byID[m.ID]; !ok || m.ID.Name == "" {
			kind := Document{Template: m.Template, Kind: m.Kind, When: m.When}
			rest[kind] = append(rest[kind], m)
		}
	}
	var strangers []*Manifest
	for i := range c.Manifests {
		m := &c.Manifests[i]
		if _, ok := base.byID[m.ID]; ok && m.ID.Name != "" {
			c.byID[m.ID] = m
			continue
		}
		kind := Document{Template: m.Template, Kind: m.Kind, When: m.When}
		at := slices.IndexFunc(rest[kind], func(b *Manifest) bool { return b.ID.Name == "" || sameKeys(b.doc, m.doc) })
		if at < 0 {
			strangers = append(strangers, m)
			continue
		}
		m.ID = rest[kind][at].ID
		c.byID[m.ID] = m
		rest[kind] = slices.Delete(rest[kind], at, at+1)
	}
	for _, m := range strangers {
		for c.byID[m.ID] != nil || base.byID[m.ID] != nil {
			m.ID.Ordinal++
		}
		c.byID[m.ID] = m
	}
	return c
}

// sameKeys tells whether two documents have scalars at the same places.
func sameKeys(a, b *document) bool {
	if a == b {
		return true
	}
	if len(a.allLeaves()) != len(b.allLeaves()) {
		return false
	}
	for _, l := range a.leaves {
		if _, ok := b.leafAt[l.path]; !ok {
			return false
		}
	}
	return true
}

// A Difference is where two renders are not the same: a scalar that differs, or
// something that only one of them has.
type Difference struct {
	Position             // the outermost thing that the other render lacks, or a scalar
	Before, After string // scalars; the first few for what is more than one, empty for nothing
	Had, Has      bool   // whether there is something before and after
}

// Differences compares o with a render that is like it (see [Output.Like]),
// sorted by position.
func (o *Output) Differences(after *Output) []Difference {
	var list []Difference
	for i := range o.Manifests {
		m := &o.Manifests[i]
		switch n := after.byID[m.ID]; {
		case n == nil:
			list = append(list, Difference{Position: Position{Document: m.ID}, Before: m.label(), Had: true})
		case n.doc != m.doc:
			list = append(list, m.differences(n)...)
		}
	}
	for i := range after.Manifests {
		if m := &after.Manifests[i]; o.byID[m.ID] == nil {
			list = append(list, Difference{Position: Position{Document: m.ID}, After: m.label(), Has: true})
		}
	}
	slices.SortFunc(list, func(a, b Difference) int { return a.Compare(b.Position) })
	return list
}

// label is the object in words.
func (m *Manifest) label() string {
	if m.Name == "" {
		return m.Kind
	}
	return m.Kind + " " + m.Name
}

func (m *Manifest) differences(n *Manifest) []Difference {
	a, b := m.doc, n.doc
	a.allLeaves()
	b.allLeaves()
	var list []Difference
	var gone, new map[Path]string
	for _, l := range a.leaves {
		i, ok := b.leafAt[l.path]
		switch {
		case !ok:
			gone = outermost(gone, l, b)
		case b.leaves[i].value != l.value:
			list = append(list, Difference{Position: m.ID.At(l.path), Before: l.value, After: b.leaves[i].value, Had: true, Has: true})
		}
	}
	for _, l := range b.leaves {
		if _, ok := a.leafAt[l.path]; !ok {
			new = outermost(new, l, a)
		}
	}
	for path, text := range gone {
		d := Difference{Position: m.ID.At(path), Before: text, Had: true}
		if now, ok := new[path]; ok { // a scalar became a map, or the like
			d.After, d.Has = now, true
		}
		list = append(list, d)
	}
	for path, text := range new {
		if _, ok := gone[path]; !ok {
			list = append(list, Difference{Position: m.ID.At(path), After: text, Has: true})
		}
	}
	return list
}

// outermost adds the outermost part around a leaf that another document lacks.
func outermost(all map[Path]string, l leaf, other *document) map[Path]string {
	if all == nil {
		all = map[Path]string{}
	}
	path := l.path
	for path != (Path{}) && !other.branches()[path.Parent()] {
		path = path.Parent()
	}
	if path == l.path {
		all[path] = l.value
		return all
	}
	switch text := all[path]; {
	case len(text) > maxPart:
	case text == "":
		all[path] = l.below(path)
	default:
		all[path] = text + ", " + l.below(path)
	}
	return all
}

const maxPart = 200 // bytes of a Difference in several scalars

// below is the leaf in words, as seen from something that it stands in.
func (l leaf) below(p Path) string { return Path{l.path.enc[len(p.enc):]}.String() + ": " + l.value }

// branches are the paths of all that leaves stand in.
func (d *document) branches() map[Path]bool {
	d.allLeaves()
	d.branchOnce.Do(func() {
		d.branch = map[Path]bool{{}: true}
		for _, l := range d.leaves {
			for p := l.path.Parent(); !d.branch[p]; p = p.Parent() {
				d.branch[p] = true
			}
		}
	})
	return d.branch
}

// randomness matches functions of templates whose results differ from one render
// to the next, or may do so by the order of maps.
var (
	action     = lazy.Regexp(`(?s)\{\{.*?\}\}`)
	randomness = lazy.Regexp(`(?:^|[^\w.$"/-])(?:rand\w+|shuffle|uuidv4|now|ago|date\w*|htmlDate\w*|gen[A-Z]\w+|bcrypt|htpasswd|encryptAES|keys|values|env|expandenv)(?:$|[^\w.:/-])`)
)

// Deterministic tells whether the templates of the chart, and those in the values,
// use nothing random: then two renders with one input are the same. It judges by
// the names of functions, and in doubt says no.
func (c *Chart) Deterministic(values map[string]any) bool {
	texts := []string{fmt.Sprint(values)}
	for _, t := range c.Templates() {
		texts = append(texts, t.Text)
	}
	return !slices.ContainsFunc(texts, func(text string) bool {
		return slices.ContainsFunc(action().FindAllString(text, -1), randomness().MatchString)
	})
}

// Hashed returns the template that a checksum is of, as it was rendered, and
// nothing for a checksum of anything else: include of a template, piped into
// sha256sum or the like, is how charts have pods restart when a ConfigMap changes.
func (o *Output) Hashed(sum string) string { return o.hashes()[sum] }

func hashes(texts map[string]string) map[string]string {
	all := make(map[string]string, 3*len(texts))
	for name, s := range texts {
		text := []byte(s)
		all[fmt.Sprintf("%x", sha256.Sum256(text))] = name
		all[fmt.Sprintf("%x", sha512.Sum512(text))] = name
		all[fmt.Sprintf("%x", sha1.Sum(text))] = name //nolint:gosec // it is the chart's choice
	}
	return all
}

// Below returns the scalars at a position and in what stands there, by path.
func (o *Output) Below(p Position) map[Path]string {
	all := map[Path]string{}
	if m := o.byID[p.Document]; m != nil {
		for _, l := range m.doc.allLeaves() {
			if l.path.Within(p.Path) {
				all[l.path] = l.value
			}
		}
	}
	return all
}
