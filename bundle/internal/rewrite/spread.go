package rewrite

import (
	"strings"

	"bundle/bundle/internal/lazy"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/written"
)

// A field is a key with its scalar: an entry of a mapping, or of an env list.
type field struct {
	key  string
	node *node
}

// parts are the fields of one group by what part of a reference each holds.
type parts struct {
	node  map[written.Part]*node
	named bool // a key of the group, or the one above it, speaks of an image
	flat  bool // the keys have a common prefix
}

// spread edits references whose parts stand in sibling keys; key is the one above.
func (w *walker) spread(fields []field, key string) {
	if len(fields) < 2 {
		return
	}
	groups := make(map[string]*parts)
	var order []string
	for _, f := range fields {
		name, part, named := written.PartOf(f.key)
		if part == written.NoPart {
			continue
		}
		g := groups[name]
		if g == nil {
			g = &parts{node: make(map[written.Part]*node), flat: name != "", named: name == "" && written.NamesImage(key)}
			groups[name] = g
			order = append(order, name)
		}
		if g.node[part] == nil {
			g.node[part] = f.node
		}
		g.named = g.named || named
	}
	for _, name := range order {
		w.group(groups[name])
	}
}

// A way is one way to read a group as a reference: which field holds what.
type way struct {
	registry, path, last, tag, digest *node // path/last where two keys share it
}

// ways lists how a group may be read, the fullest first. A version is a tag, and a
// name an image, only where something else says that the group is about one.
func (p *parts) ways() []way {
	registry, version, name := p.node[written.RegistryPart], p.node[written.VersionPart], p.node[written.NamePart]
	repository, image := p.node[written.RepositoryPart], p.node[written.ImagePart]
	if p.node[written.TagPart] != nil || !p.named && registry == nil && (repository == nil || image == nil) {
		version = nil
	}
	if registry == nil && (!p.named || p.flat) {
		name = nil
	}
	tags := []*node{p.node[written.TagPart], version, nil}
	digests := []*node{p.node[written.DigestPart], p.node[written.TagPart], version, nil}
	var all []way
	for _, r := range []*node{registry, nil} {
		for i, name := range [][2]*node{{repository, image}, {repository}, {image}, {name}} {
			if name[0] == nil || i == 0 && name[1] == nil {
				continue
			}
			for _, tag := range tags {
				for _, digest := range digests {
					if digest == nil || digest != tag {
						all = append(all, way{r, name[0], name[1], tag, digest})
					}
				}
			}
		}
	}
	return all
}

// fields counts the keys of a way.
func (x way) fields() (n int) {
	for _, f := range []*node{x.registry, x.path, x.last, x.tag, x.digest} {
		if f != nil {
			n++
		}
	}
	return n
}

// group edits one group, read in the first way that the map names.
func (w *walker) group(p *parts) {
	for _, x := range p.ways() {
		raw, ok := x.raw()
		if !ok || x.fields() < 2 {
			continue
		}
		target, ok := w.r.m[raw]
		if !ok {
			continue
		}
		to, ok := x.split(raw, target)
		if !ok {
			continue
		}
		w.set(to, raw)
		return
	}
}

var (
	digestText = lazy.Regexp(`^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}$`)
	bareDigest = lazy.Regexp(`^[0-9a-f]{64}$`)
)

// text is what a field holds, without blanks around it.
func text(n *node) string {
	s, _ := n.scalar()
	return strings.TrimSpace(s)
}

// name is the path that a way's fields hold, without the registry.
func (x way) name() string {
	if x.last == nil {
		return text(x.path)
	}
	return strings.TrimSuffix(text(x.path), "/") + "/" + text(x.last)
}

// raw joins the parts; false where they make no reference.
func (x way) raw() (string, bool) {
	raw := x.name()
	if raw == "" || x.last != nil && strings.Contains(text(x.last), "/") {
		return "", false
	}
	if x.registry != nil {
		registry := strings.TrimSuffix(text(x.registry), "/")
		if registry == "" {
			return "", false
		}
		raw = registry + "/" + raw
	}
	if x.tag != nil {
		if text(x.tag) == "" {
			return "", false
		}
		raw += ":" + text(x.tag)
	}
	if x.digest != nil {
		digest := text(x.digest)
		if bareDigest().MatchString(digest) {
			digest = "sha256:" + digest
		}
		if !digestText().MatchString(digest) {
			return "", false
		}
		raw += "@" + digest
	}
	return raw, true
}

// split says what each field has to hold so that the parts make the target.
func (x way) split(raw, target string) (map[*node]string, bool) {
	to := make(map[*node]string)
	repository, tag, digest := name.Cut(target)
	_, oldTag, oldDigest := name.Cut(raw)
	switch {
	case x.digest != nil && digest == "":
		return nil, false
	case x.digest != nil && bareDigest().MatchString(text(x.digest)):
		bare, ok := strings.CutPrefix(digest, "sha256:")
		if !ok {
			return nil, false
		}
		to[x.digest] = bare
	case x.digest != nil:
		to[x.digest] = digest
	case digest != "" && x.tag != nil && digest != oldDigest:
		return nil, false // no key to hold it
	case digest != "":
		tag += "@" + digest // as the name holds it
	}
	switch {
	case x.tag != nil && tag == "":
		return nil, false
	case x.tag != nil:
		to[x.tag] = tag
	case strings.HasPrefix(tag, "@"):
		repository += tag
	case tag != "" && (oldTag != "" || x.digest == nil):
		repository += ":" + tag
	case tag != oldTag:
		return nil, false
	}
	return to, x.splitName(repository, to)
}

// splitName parts a name without what other keys hold among registry and path; the
// path stays as it is where that can be.
func (x way) splitName(name string, to map[*node]string) bool {
	if x.registry == nil && x.last == nil {
		to[x.path] = name
		return true
	}
	front, back := x.registry, x.path
	whole := x.name()
	if x.registry == nil {
		front, back, whole = x.path, x.last, text(x.last)
	}
	head, ok := strings.CutSuffix(name, "/"+whole)
	if ok {
		to[front] = head + trailing(front)
		return true
	}
	if x.registry != nil && x.last != nil {
		return false
	}
	i := strings.IndexByte(name, '/')
	if x.registry == nil {
		i = strings.LastIndexByte(name, '/')
	}
	if i <= 0 {
		return false
	}
	to[front], to[back] = name[:i]+trailing(front), name[i+1:]
	return true
}

// trailing is the slash that a registry is written with, or nothing.
func trailing(n *node) string {
	if strings.HasSuffix(text(n), "/") {
		return "/"
	}
	return ""
}

// set notes the new texts of fields, all or none.
func (w *walker) set(to map[*node]string, raw string) {
	edits := make(map[*node][]edit)
	for n, s := range to {
		old, _ := n.scalar()
		at := strings.Index(old, text(n))
		if text(n) == s {
			continue
		}
		if n.kind == aliasKind {
			edits[n] = []edit{{0, len(old), s, []string{raw}}}
		} else {
			edits[n] = []edit{{at, at + len(text(n)), s, []string{raw}}}
		}
		if was, taken := w.wants[n]; taken && apply(old, was) != apply(old, edits[n]) {
			return
		}
		if _, ok := n.in(edits[n]); !ok {
			return
		}
	}
	for n := range to {
		if e := edits[n]; e != nil || n.kind == scalarKind {
			if _, taken := w.wants[n]; !taken {
				w.wants[n] = e // nil: it is part of this reference, and stays
			}
		}
	}
}
