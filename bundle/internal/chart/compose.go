package chart

import (
	"slices"
	"strings"

	"bundle/bundle/internal/name"
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

// role is the part of a reference that a key holds.
type role int

const (
	noRole role = iota
	registryRole
	repositoryRole
	imageRole // the whole, or the last part of it
	nameRole
	tagRole
	versionRole
	digestRole
)

var roles = map[string]role{
	"registry": registryRole, "hub": registryRole,
	"repository": repositoryRole, "repo": repositoryRole,
	"image": imageRole, "name": nameRole,
	"tag": tagRole, "version": versionRole,
	"digest": digestRole, "sha": digestRole, "sha256": digestRole,
}

// roleOf splits a key into the group it belongs to and its role in it:
// fooImageTag is the tag of group "foo", and so is foo_tag.
func roleOf(key string) (group string, r role, named bool) {
	w := keyWords(key)
	if len(w) == 0 {
		return "", noRole, false
	}
	last := w[len(w)-1]
	if n := len(w); n > 1 && last == "url" && (roles[w[n-2]] == repositoryRole || roles[w[n-2]] == registryRole) {
		return strings.Join(w[:n-2], "_"), registryRole, false // MONGODB_REPO_URL: what stands before MONGODB_IMAGE
	}
	r = roles[last]
	w = w[:len(w)-1]
	if r == noRole {
		for _, suffix := range []string{"registry", "repository", "tag", "digest", "name"} { // imagetag in one word
			if last == "image"+suffix {
				return strings.Join(w, "_"), roles[suffix], true
			}
		}
		return "", noRole, false
	}
	if n := len(w); r == nameRole && n > 0 && w[n-1] == "image" {
		return strings.Join(w[:n-1], "_"), imageRole, true
	}
	if n := len(w); r != imageRole && n > 0 && w[n-1] == "image" {
		return strings.Join(w[:n-1], "_"), r, true
	}
	return strings.Join(w, "_"), r, r == imageRole
}

// parts are the fields of one group by role.
type parts struct {
	field [digestRole + 1]*field
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
		group, r, named := roleOf(fields[i].key)
		if r == noRole {
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
		g.named = g.named || group == "" && classifyKey(s.key) != noImage
		f.composeGroup(g, s.embedded)
	}
}

func (g *parts) value(r role) string {
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
	if anchor == g.field[imageRole] && tag == "" && digest == "" &&
		g.field[registryRole] == nil && g.field[tagRole] == nil && g.field[digestRole] == nil {
		return // the image key alone: see imageValue
	}
	if !g.named && tag == "" && digest == "" &&
		g.field[registryRole] == nil && g.field[tagRole] == nil && g.field[digestRole] == nil {
		return // a repository of something else
	}
	if registry := strings.TrimSuffix(g.value(registryRole), "/"); registry != "" && !strings.HasPrefix(text, registry+"/") {
		text = registry + "/" + text
	}
	r, ok := parseRef(text)
	if !ok {
		return
	}
	if !r.pinned() {
		r.Tag, r.Digest = tag, digest
	}
	x := found{at: spread(anchor.at), raw: r.String(), host: r.Host, confidence: name.Image, certain: true}
	if !r.pinned() {
		x.confidence = name.Repository
	}
	// A lone name in a program's configuration waits for the rest of it.
	if r.pinned() || r.Host != "" || strings.Contains(r.Path, "/") || !embedded {
		f.add(x)
	}
	for _, part := range g.field {
		if part != nil && part != g.field[versionRole] {
			f.claimed[part.at] = true
		}
	}
}

// version is the group's tag and digest. A version key is a tag only where
// nothing else can be, and the group leaves no doubt that it is about an image.
func (g *parts) version() (tag, digest string) {
	tag, digest = g.value(tagRole), g.value(digestRole)
	several := g.field[repositoryRole] != nil && g.field[imageRole] != nil
	inImage := g.field[imageRole] == nil && g.named
	if g.field[tagRole] == nil && digest == "" && (g.flat && g.named || several || inImage || g.field[registryRole] != nil) {
		tag = g.value(versionRole)
	}
	if digest == "" && digestRE().MatchString(tag) {
		tag, digest = "", tag
	}
	if hexRE().MatchString(digest) {
		digest = "sha256:" + digest
	}
	if !tagRE().MatchString(tag) {
		tag = ""
	}
	if !digestRE().MatchString(digest) {
		digest = ""
	}
	return tag, digest
}

// repository is the field that carries the repository, and its value: the
// repository key, the image key when it holds no tag, both joined, or a name
// beside a registry and a tag.
func (g *parts) repository() (*field, string) {
	repo, image := g.value(repositoryRole), g.value(imageRole)
	if r, ok := parseRef(image); !ok || r.pinned() {
		if image != "" && ok {
			return nil, "" // the image key holds all of it
		}
		image = ""
	}
	switch {
	case repo != "" && image != "" && !strings.Contains(image, "/"):
		return g.field[imageRole], strings.TrimSuffix(repo, "/") + "/" + image
	case repo != "":
		return g.field[repositoryRole], repo
	case image != "":
		return g.field[imageRole], image
	case g.value(nameRole) != "" && (g.field[tagRole] != nil || g.field[versionRole] != nil) &&
		(g.field[registryRole] != nil || g.named && !g.flat):
		return g.field[nameRole], g.value(nameRole)
	}
	return nil, ""
}

// hubOf reads a map that declares a hub and a tag for the maps inside it.
func hubOf(n *node, path Path) *hub {
	h := n.get("hub")
	if h == nil || !h.str || !slices.Contains(n.keys, "tag") {
		return nil
	}
	if _, ok := parseRef(strings.TrimSuffix(h.value, "/")); !ok {
		return nil
	}
	return &hub{registry: strings.TrimSuffix(h.value, "/"), at: Position{Path: path.Key("hub")}, tag: n.text("tag")}
}

// addHub adds the reference that hub, image and tag make together.
func (f *finder) addHub(at Position, image string, h *hub) {
	r, ok := parseRef(h.registry + "/" + image)
	if !ok {
		return
	}
	confidence := name.Repository
	if tagRE().MatchString(h.tag) {
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
