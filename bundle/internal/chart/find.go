package chart

import (
	"path"
	"slices"
	"strings"

	"bundle/bundle/internal/lazy"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/written"
)

// Finding is an image reference at a position of the rendered output.
type Finding struct {
	Position
	Raw        string // as the chart writes it, without a scheme such as oci://
	Confidence name.Confidence
	Test       bool // only in a manifest that helm test runs
}

// Fixed is the reference up to where a program fills something in: all of it for
// most.
func (f Finding) Fixed() string {
	if _, composed := written.Composed(f.Raw); composed {
		for i := range len(f.Raw) {
			if written.BlankAt(f.Raw, 0, i) > 0 {
				return f.Raw[:i]
			}
		}
	}
	return f.Raw
}

// Findings lists every image reference in the manifests, in the order of
// Manifests. The same reference at two positions is two findings.
func (o *Output) Findings() []Finding {
	hosts, spaces := map[string]bool{}, map[string]bool{}
	for i := range o.Manifests {
		for _, f := range o.Manifests[i].doc.findings() {
			if f.certain && f.host != "" {
				hosts[f.host] = true
			}
			for at := strings.LastIndexByte(f.raw, '/'); at > 0; at = strings.LastIndexByte(f.raw[:at], '/') {
				spaces[f.raw[:at]] = true
			}
		}
	}
	var all []Finding
	for i := range o.Manifests {
		m := &o.Manifests[i]
		for _, f := range m.doc.findings() {
			if !f.certain && !hosts[f.host] || f.registry && spaces[f.raw] {
				continue // spaces: a registry with a namespace, below which images are
			}
			f.at.Document = m.ID
			all = append(all, Finding{Position: f.at, Raw: f.raw, Confidence: f.confidence, Test: m.Test()})
		}
	}
	return all
}

// found is a finding within a document.
type found struct {
	at         Position // of no document
	raw        string
	host       string
	confidence name.Confidence
	certain    bool // false: a finding only if the chart uses the host for images elsewhere
	registry   bool // without a tag, under a key that says registry
}

// findings searches the document once.
func (d *document) findings() []found {
	d.findOnce.Do(func() {
		f := &finder{seen: map[Position]bool{}, claimed: map[Position]bool{}}
		switch {
		case d.root == nil:
			f.scanWords(d.raw, Path{}, scope{})
		case d.kind != crdKind:
			f.walk(d.root, Path{}, scope{})
		}
		d.found = slices.DeleteFunc(f.out, func(x found) bool { return f.claimed[x.at.Scalar()] && !x.at.Spread })
	})
	return d.found
}

// finder walks a document.
type finder struct {
	out     []found
	seen    map[Position]bool // where there is a finding
	claimed map[Position]bool // leaves that are part of a reference found elsewhere
}

// scope is what the surroundings of a value say about it.
type scope struct {
	key      string // the nearest key, or the name of an env entry, or the flag before it
	parent   string // the key above that
	embedded bool   // inside a string of the manifest
	pod      bool   // an element of containers, initContainers or ephemeralContainers
	hub      *hub
}

// hub is a registry with a namespace, and the tag of all images below it, that
// a map declares for the maps inside it (hub: docker.io/istio, tag: 1.2).
type hub struct {
	registry, tag string
	at            Position // of the registry, in no document
}

// image tells whether the nearest key speaks of images.
func (s scope) image() bool { return written.NamesImage(s.key) }

func (f *finder) add(x found) {
	if f.seen[x.at] {
		return
	}
	f.seen[x.at] = true
	f.out = append(f.out, x)
}

func (f *finder) walk(n *node, path Path, s scope) {
	switch n.kind {
	case mappingNode:
		f.walkMapping(n, path, s)
	case sequenceNode:
		f.walkSequence(n, path, s)
	default:
		f.walkScalar(n, path, s)
	}
}

func (f *finder) walkMapping(n *node, path Path, s scope) {
	if n.text("kind") == crdKind && n.get("spec") != nil {
		return
	}
	fields := make([]field, 0, len(n.keys))
	for i, k := range n.keys {
		fields = append(fields, field{key: k, at: Position{Path: path.Key(k)}, node: n.items[i]})
	}
	f.compose(fields, s)
	inner := s
	if h := hubOf(n, path); h != nil {
		inner.hub = h
	}
	entry := entryName(n)
	for _, x := range fields {
		c := inner
		c.pod = false
		c.key, c.parent = x.key, s.key
		switch {
		case entry != "" && x.key == "value":
			c.key = entry
		case x.node.kind == mappingNode && (x.key == "labels" || x.key == "matchLabels"):
			continue // a label can hold no reference
		case x.key == "name" && n.text("kind") == "DockerImage": // OpenShift builds and image streams
			c.key = "image"
		}
		if s.pod && x.key == "image" {
			c.pod = true
		}
		f.walk(x.node, x.at.Path, c)
	}
}

// entryName is the name of an env entry or the like: a map of name and value.
func entryName(n *node) string {
	if v := n.get("value"); v == nil || v.kind != scalarNode {
		return ""
	}
	return n.text("name")
}

var containerLists = []string{"containers", "initContainers", "ephemeralContainers"}

func (f *finder) walkSequence(n *node, path Path, s scope) {
	var env []field
	paths := itemPaths(n, path)
	for i, item := range n.items {
		if name := entryName(item); name != "" {
			env = append(env, field{key: name, at: Position{Path: paths[i].Key("value")}, node: item.get("value")})
		}
	}
	f.compose(env, scope{embedded: s.embedded})
	flag := ""
	for i, item := range n.items {
		c := s
		c.pod = slices.Contains(containerLists, s.key)
		if item.kind == scalarNode {
			if flag != "" {
				c.key = flag
			} else if written.ImageKey(s.key) == written.ExactImage {
				c.key = "images" // a list is never one image
			}
			flag = flagName(item.value)
		} else {
			flag = ""
		}
		f.walk(item, paths[i], c)
	}
}

// flagName is the name of a command line flag whose value is the next argument.
func flagName(arg string) string {
	if strings.HasPrefix(arg, "-") && !strings.ContainsAny(arg, "= \n") {
		return strings.TrimLeft(arg, "-")
	}
	return ""
}

func (f *finder) walkScalar(n *node, path Path, s scope) {
	if len(n.docs) > 0 {
		c := scope{key: s.key, parent: s.parent, embedded: true}
		for i, d := range n.docs {
			f.walk(d, path.Into(n.form, i), c)
		}
		return
	}
	if f.claimed[Position{Path: path}] {
		return
	}
	if !n.str {
		if s.pod && n.value == "null" || s.pod && n.value == "" || s.pod && n.value == "~" {
			f.placeholder(path, "", s)
		}
		return
	}
	key := written.ImageKey(s.key)
	switch parent := written.ImageKey(s.parent); {
	case key != written.NoImage:
	case parent == written.ExactImage && written.FollowsImage(s.key):
		key = written.SomeImage // image: {reference: …}, image: {name: …}
	case strings.HasSuffix(strings.ToLower(s.parent), "images"):
		key = written.MaybeImage // images: {proxy: …}
	}
	if key != written.NoImage && f.imageValue(n.value, path, key, s) {
		return
	}
	f.scanWords(n.value, path, s)
}

// isPattern tells whether a text is what images are compared with, as policies do.
func isPattern(s string) bool {
	return strings.HasPrefix(s, "!") || strings.ContainsAny(s, "*^|")
}

func exactOf(key string) bool { return written.ImageKey(key) == written.ExactImage }

func (f *finder) placeholder(path Path, raw string, s scope) bool {
	if s.embedded {
		return false // somebody's template or defaults, not something that is pulled
	}
	f.add(found{at: Position{Path: path}, raw: raw, confidence: name.Placeholder, certain: true})
	return true
}

// imageValue handles the value of a key that names an image; false leaves the
// value to the search for words.
func (f *finder) imageValue(value string, path Path, key written.Strength, s scope) bool {
	v := strings.TrimSpace(value)
	if key != written.NoImage {
		if rest, isRef := written.CutScheme(v); isRef {
			if r, ok := written.Composed(rest); ok {
				f.add(found{at: Position{Path: path}, raw: rest, host: r.Host, certain: true, confidence: name.Repository})
				return true
			}
		}
	}
	if blank := written.LeadingBlank(v); key >= written.SomeImage && blank != "" && strings.HasPrefix(v[len(blank):], "/") {
		return f.placeholder(path, v, s)
	}
	if key == written.ExactImage && (v == "" || v == "auto" || written.Unrendered(v)) {
		return f.placeholder(path, v, s)
	}
	rest, isRef := written.CutScheme(v)
	r, ok := written.Parse(rest)
	if !isRef || !ok {
		return s.pod && !isPattern(v) && f.placeholder(path, v, s) // no container runtime accepts it
	}
	if s.hub != nil && r.Host == "" && !r.Pinned() && !strings.Contains(r.Path, "/") && key == written.ExactImage {
		f.addHub(Position{Path: path}, r.Path, s.hub)
		return true
	}
	x := found{at: Position{Path: path}, raw: rest, host: r.Host, certain: true, confidence: name.Image}
	if !s.pod {
		if s.embedded && r.Host == "" && !r.Pinned() && !strings.Contains(r.Path, "/") {
			return false // a lone name in a program's configuration: the rest of it is elsewhere
		}
		if !plausibleValue(r, key) {
			return false
		}
		if !r.Pinned() {
			x.confidence = name.Repository
		}
	}
	f.add(x)
	return true
}

// plausibleValue tells whether a well-formed reference under such a key is one.
func plausibleValue(r written.Reference, key written.Strength) bool {
	short := r.Host == "" && !strings.Contains(r.Path, "/")
	switch {
	case r.Digest != "":
		return true
	case r.Tag != "":
		return !short || !written.IsNumber(r.Tag) || key >= written.SomeImage && !looksLikeAddress(r)
	case fileName(r.Path):
		return false
	case r.Host != "":
		return written.PlausibleHost(r.Host)
	}
	return key == written.ExactImage || key == written.SomeImage && !short
}

// looksLikeAddress tells host:port from name:tag, for names without a slash.
func looksLikeAddress(r written.Reference) bool {
	return strings.Contains(r.Path, ".") && written.IsNumber(r.Tag) && len(r.Tag) > 2
}

func fileName(p string) bool {
	ext := strings.TrimPrefix(path.Ext(p), ".")
	return slices.Contains([]string{"png", "svg", "jpg", "jpeg", "gif", "ico", "webp", "iso", "qcow2", "img"}, ext)
}

// scanWords searches a text for references: any word with a host, a path and a
// tag or digest; any word with a known registry host; the word that follows a
// flag or key that ends in image; and lines that spread one over several keys.
func (f *finder) scanWords(text string, path Path, s scope) {
	if !strings.ContainsAny(text, "/:") {
		return
	}
	list := written.Words(text)
	f.compose(assignments(text, path, list), scope{embedded: true})
	// X_IMAGES: "a=org/a:1,b=org/b:2", --images=a=org/a:1
	several := s.image() || strings.HasPrefix(text, "-") && len(list) > 0 && written.NamesImage(list[0].Text) &&
		!strings.ContainsAny(text, " \t\n")
	for i, w := range list {
		raw := w.Reference()
		r, composed := written.Composed(raw)
		ok := composed
		if !composed {
			r, ok = written.Parse(raw)
		}
		if !ok || strings.HasPrefix(w.Text, "/") || w.End < len(text) && text[w.End] == '*' {
			continue
		}
		x := found{at: Position{Path: path, Word: i + 1}, raw: raw, host: r.Host, confidence: name.Image, certain: true}
		if f.claimed[x.at] {
			continue
		}
		named := len(list) == 1 && s.image() || i > 0 && announces(text, list[i-1], w) ||
			several && r.Pinned() && strings.Contains(r.Path, "/")
		if !accept(&x, r, named) {
			continue
		}
		if composed {
			x.confidence = name.Repository
		}
		_, part, _ := written.PartOf(s.key)
		x.registry = part == written.RegistryPart && !r.Pinned()
		if len(list) == 1 && raw == strings.TrimSpace(text) {
			x.at.Word = 0
		}
		f.add(x)
	}
}

// assignmentRE matches a line of a properties, INI or shell file.
var assignmentRE = lazy.Regexp(`(?m)^[ \t]*(?:export )?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*[=:][ \t]*["']?([^\s"']+)["']?[ \t]*$`)

// assignments reads lines of the form key = value out of a text.
func assignments(text string, path Path, list []written.Word) []field {
	if !strings.Contains(text, "\n") {
		return nil
	}
	at := make(map[int]int, len(list))
	for i, w := range list {
		at[w.Start] = i
	}
	var fields []field
	for _, m := range assignmentRE().FindAllStringSubmatchIndex(text, -1) {
		if i, ok := at[m[4]]; ok {
			fields = append(fields, field{
				key: text[m[2]:m[3]], at: Position{Path: path, Word: i + 1},
				node: &node{str: true, value: text[m[4]:m[5]]},
			})
		}
	}
	return fields
}

// accept decides whether a word of a text is a reference.
func accept(x *found, r written.Reference, named bool) bool {
	switch {
	case r.Host != "" && written.PlausibleHost(r.Host):
		if r.NoImage() {
			return false
		}
		if !r.Pinned() {
			x.confidence = name.Repository
		}
		// host/path:1 may be a resource with its amount (nvidia.com/gpu:1)
		x.certain = named || written.IsRegistry(r.Host) || r.Digest != "" || r.Tag != "" && !written.IsNumber(r.Tag)
		return true
	case named && r.Pinned():
		return !looksLikeAddress(r)
	case named && r.Host == "" && strings.Contains(r.Path, "/"):
		x.confidence = name.Repository
		return !fileName(r.Path)
	case r.Host != "" && r.Pinned():
		// localhost and addresses: only where other images come from there
		x.certain = false
		return true
	}
	return false
}

// announces tells whether the word before is a key or flag for images:
// --x-image REF, x-image=REF, "image": "REF".
func announces(text string, before, w written.Word) bool {
	key := strings.TrimRight(before.Text, ":")
	if strings.ContainsAny(key, "/:@") || written.ImageKey(key) == written.NoImage {
		return false
	}
	between := text[before.End:w.Start]
	if strings.Contains(between, "\n") {
		return false
	}
	return strings.HasPrefix(key, "-") || key != before.Text || strings.ContainsAny(between, "=:")
}
