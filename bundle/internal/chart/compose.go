package chart

import (
	"slices"
	"strings"

	"bundle/bundle/internal/name"
	"bundle/bundle/internal/written"
)

// field is a key with its value: an entry of a mapping, or of an env list.
type field struct {
	key  string
	at   Position // of no document
	node *node
}

func (x field) scalar() (string, bool) {
	if x.node.kind != scalarNode || len(x.node.docs) > 0 {
		return "", false
	}
	if !x.node.str && (x.node.value == "null" || x.node.value == "~") {
		return "", true
	}
	return strings.TrimSpace(x.node.value), true
}

// parts are the fields of one group by role.
type parts struct {
	field [written.DigestPart + 1]*field
	named bool // some key of the group, or the key above it, says image
	flat  bool // the keys have a common prefix
}

// compose finds references that are spread over sibling keys: registry,
// repository, tag and digest, also with prefixes, in maps, flat ConfigMaps and
// env lists.
func (f *finder) compose(fields []field, s scope) {
	if len(fields) < 2 && !exactOf(s.key) {
		return
	}
	groups := map[string]*parts{}
	var order []string
	for i := range fields {
		if _, ok := fields[i].scalar(); !ok {
			continue
		}
		group, r, named := written.PartOf(fields[i].key)
		if r == written.NoPart {
			continue
		}
		g := groups[group]
		if g == nil {
			g = &parts{flat: group != ""}
			groups[group] = g
			order = append(order, group)
		}
		if g.field[r] == nil {
			g.field[r] = &fields[i]
		}
		g.named = g.named || named
	}
	for _, group := range order {
		g := groups[group]
		g.named = g.named || group == "" && written.NamesImage(s.key)
		f.composeGroup(g, s.embedded)
	}
}

func (g *parts) value(r written.Part) string {
	if g.field[r] == nil {
		return ""
	}
	v, _ := g.field[r].scalar()
	return v
}

// composeGroup joins one group, when it holds a repository and something that
// belongs to it.
func (f *finder) composeGroup(g *parts, embedded bool) {
	anchor, text := g.repository()
	if anchor == nil {
		return
	}
	tag, digest := g.version()
	if anchor == g.field[written.ImagePart] && tag == "" && digest == "" &&
		g.field[written.RegistryPart] == nil && g.field[written.TagPart] == nil && g.field[written.DigestPart] == nil {
		return // the image key alone: see imageValue
	}
	if !g.named && tag == "" && digest == "" &&
		g.field[written.RegistryPart] == nil && g.field[written.TagPart] == nil && g.field[written.DigestPart] == nil {
		return // a repository of something else
	}
	if registry := strings.TrimSuffix(g.value(written.RegistryPart), "/"); registry != "" && !strings.HasPrefix(text, registry+"/") {
		text = registry + "/" + text
	}
	r, ok := written.Parse(text)
	if !ok {
		return
	}
	if !r.Pinned() {
		r.Tag, r.Digest = tag, digest
	}
	x := found{at: spread(anchor.at), raw: r.String(), host: r.Host, confidence: name.Image, certain: true}
	if !r.Pinned() {
		x.confidence = name.Repository
	}
	// A lone name in a program's configuration waits for the rest of it.
	if r.Pinned() || r.Host != "" || strings.Contains(r.Path, "/") || !embedded {
		f.add(x)
	}
	for _, part := range g.field {
		if part != nil && part != g.field[written.VersionPart] {
			f.claimed[part.at] = true
		}
	}
}

// version is the group's tag and digest. A version key is a tag only where
// nothing else can be, and the group leaves no doubt that it is about an image.
func (g *parts) version() (tag, digest string) {
	tag, digest = g.value(written.TagPart), g.value(written.DigestPart)
	several := g.field[written.RepositoryPart] != nil && g.field[written.ImagePart] != nil
	inImage := g.field[written.ImagePart] == nil && g.named
	if g.field[written.TagPart] == nil && digest == "" && (g.flat && g.named || several || inImage || g.field[written.RegistryPart] != nil) {
		tag = g.value(written.VersionPart)
	}
	if digest == "" && written.IsDigest(tag) {
		tag, digest = "", tag
	}
	if written.IsHex(digest) {
		digest = "sha256:" + digest
	}
	if !written.IsTag(tag) {
		tag = ""
	}
	if !written.IsDigest(digest) {
		digest = ""
	}
	return tag, digest
}

// repository is the field that carries the repository, and its value: the
// repository key, the image key when it holds no tag, both joined, or a name
// beside a registry and a tag.
func (g *parts) repository() (*field, string) {
	repo, image := g.value(written.RepositoryPart), g.value(written.ImagePart)
	if r, ok := written.Parse(image); !ok || r.Pinned() {
		if image != "" && ok {
			return nil, "" // the image key holds all of it
		}
		image = ""
	}
	switch {
	case repo != "" && image != "" && !strings.Contains(image, "/"):
		return g.field[written.ImagePart], strings.TrimSuffix(repo, "/") + "/" + image
	case repo != "":
		return g.field[written.RepositoryPart], repo
	case image != "":
		return g.field[written.ImagePart], image
	case g.value(written.NamePart) != "" && (g.field[written.TagPart] != nil || g.field[written.VersionPart] != nil) &&
		(g.field[written.RegistryPart] != nil || g.named && !g.flat):
		return g.field[written.NamePart], g.value(written.NamePart)
	}
	return nil, ""
}

// hubOf reads a map that declares a hub and a tag for the maps inside it.
func hubOf(n *node, path Path) *hub {
	h := n.get("hub")
	if h == nil || !h.str || !slices.Contains(n.keys, "tag") {
		return nil
	}
	if _, ok := written.Parse(strings.TrimSuffix(h.value, "/")); !ok {
		return nil
	}
	return &hub{registry: strings.TrimSuffix(h.value, "/"), at: Position{Path: path.Key("hub")}, tag: n.text("tag")}
}

// addHub adds the reference that hub, image and tag make together.
func (f *finder) addHub(at Position, image string, h *hub) {
	r, ok := written.Parse(h.registry + "/" + image)
	if !ok {
		return
	}
	confidence := name.Repository
	if written.IsTag(h.tag) {
		r.Tag, confidence = h.tag, name.Image
	}
	f.add(found{at: spread(at), raw: r.String(), host: r.Host, confidence: confidence, certain: true})
	f.claimed[at], f.claimed[h.at] = true, true
}

// spread is where a reference over several keys stands.
func spread(at Position) Position {
	at.Spread = true
	return at
}
