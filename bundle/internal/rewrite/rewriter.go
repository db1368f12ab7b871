package rewrite

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"bundle/bundle/internal/written"
)

// A rewriter carries out one map.
type rewriter struct {
	m      Map
	used   map[string]bool
	embeds int // how deep the document at hand stands in strings
}

// stream edits a stream of documents, each by itself: one that is no YAML, or too
// strange, does not keep the others from being edited.
func (r *rewriter) stream(text string) []edit {
	if len(r.m) == 0 {
		return nil
	}
	var all []edit
	for at := 0; at < len(text); {
		end := len(text)
		if i := strings.Index(text[at:], "\n---"); i >= 0 {
			end = at + i + 1
		}
		all = append(all, moved(r.document(text[at:end]), at)...)
		at = end
	}
	for _, raw := range raws(all) {
		r.used[raw] = true
	}
	return all
}

// document edits one document of a stream.
func (r *rewriter) document(text string) []edit {
	if docs, err := parseYAML(text); err == nil {
		return r.edit(text, docs, parseYAML)
	}
	if t := strings.TrimSpace(text); strings.HasPrefix(t, "{") && json.Valid([]byte(t)) { // with \/, say
		if docs, err := oneJSON(text); err == nil {
			return r.edit(text, docs, oneJSON)
		}
	}
	return r.words(text, "")
}

// edit finds the edits of parsed documents, and proves them: the text reads as
// before, but for what the edits say.
func (r *rewriter) edit(text string, docs []*node, parse func(string) ([]*node, error)) []edit {
	w := &walker{r: r, wants: make(map[*node][]edit)}
	for _, d := range docs {
		w.walk(d, "")
	}
	w.aliases()
	var all []edit
	for n, edits := range w.wants {
		in, ok := n.in(edits)
		if !ok {
			return nil
		}
		all = append(all, in...)
	}
	if len(all) == 0 || overlap(all) {
		return nil
	}
	again, err := parse(apply(text, all))
	if err != nil || len(again) != len(docs) {
		return nil
	}
	for i := range docs {
		if !docs[i].same(again[i], w.value) {
			return nil
		}
	}
	return all
}

// A walker goes through the documents of a text.
type walker struct {
	r     *rewriter
	wants map[*node][]edit // scalar → edits of its text
	alias []*node          // of scalars, in order
}

// want notes edits of a scalar; false where others are wanted already, or where
// they cannot be written.
func (w *walker) want(n *node, edits []edit) bool {
	if len(edits) == 0 {
		return true
	}
	if was, ok := w.wants[n]; ok {
		old, _ := n.scalar()
		return apply(old, was) == apply(old, edits)
	}
	if _, ok := n.in(edits); !ok {
		return false
	}
	w.wants[n] = edits
	return true
}

// value is what a scalar reads once it is edited.
func (w *walker) value(n *node) string {
	old, _ := n.scalar()
	if n.kind == scalarKind {
		old = n.value
	}
	if edits, ok := w.wants[n]; ok || n.kind == scalarKind {
		return apply(old, edits)
	}
	return w.value(n.target) // an alias reads what its anchor does
}

// aliases replaces those that would read something else than they should.
func (w *walker) aliases() {
	for _, n := range w.alias {
		old, _ := n.scalar()
		should, edited := old, w.wants[n]
		if edited != nil {
			should = apply(old, edited)
		}
		if w.value(n.target) == should {
			delete(w.wants, n)
		} else if edited == nil {
			w.wants[n] = []edit{{0, len(old), old, nil}}
		}
	}
}

func (w *walker) walk(n *node, key string) {
	switch n.kind {
	case aliasKind:
		if _, ok := n.scalar(); ok {
			w.alias = append(w.alias, n)
			w.scalar(n, key)
		}
	case scalarKind:
		w.scalar(n, key)
	case mapKind:
		w.mapping(n, key)
	case listKind:
		w.list(n, key)
	}
}

func (w *walker) mapping(n *node, key string) {
	w.hub(n)
	w.spread(n.fields(), key)
	if n.text("kind") == "Secret" {
		if data := n.get("data"); data != nil {
			w.secret(data)
		}
	}
	entry := ""
	if _, ok := n.get("value").scalar(); ok {
		entry = n.text("name")
	}
	for i, item := range n.items {
		k := n.keys[i]
		if k == "value" && entry != "" {
			k = entry
		}
		w.walk(item, k)
	}
}

// list edits the items of a list: env entries are fields by their names, and a
// flag says what the next argument is.
func (w *walker) list(n *node, key string) {
	var env []field
	for _, item := range n.items {
		if value := item.get("value"); value != nil {
			if _, ok := value.scalar(); ok && item.text("name") != "" {
				env = append(env, field{key: item.text("name"), node: value})
			}
		}
	}
	w.spread(env, "")
	flag := ""
	for _, item := range n.items {
		k := key
		if flag != "" {
			k = flag
		}
		flag = ""
		if s, ok := item.scalar(); ok && strings.HasPrefix(s, "-") && !strings.ContainsAny(s, "= \n") {
			flag = strings.TrimLeft(s, "-")
		}
		w.walk(item, k)
	}
}

// secret edits what stands in base64.
func (w *walker) secret(data *node) {
	for _, item := range data.items {
		if item.kind != scalarKind || len(item.value) < 4 {
			continue
		}
		coded := strings.TrimSpace(item.value)
		text, err := base64.StdEncoding.DecodeString(coded)
		if err != nil || !utf8.Valid(text) {
			continue
		}
		edits := w.r.inside(string(text), "")
		if len(edits) == 0 {
			continue
		}
		at := strings.Index(item.value, coded)
		again := base64.StdEncoding.EncodeToString([]byte(apply(string(text), edits)))
		w.want(item, []edit{{at, at + len(coded), again, raws(edits)}})
	}
}

// scalar edits the text of a scalar.
func (w *walker) scalar(n *node, key string) {
	text, ok := n.scalar()
	if _, done := w.wants[n]; done || !ok || n.kind == scalarKind && !n.str {
		return
	}
	edits := w.r.inside(text, key)
	if n.kind == aliasKind && len(edits) > 0 {
		edits = []edit{{0, len(text), apply(text, edits), raws(edits)}}
	}
	w.want(n, edits)
}

// inside edits a text that may be a document itself.
func (r *rewriter) inside(text, key string) []edit {
	if r.embeds >= maxEmbeds {
		return nil
	}
	t := strings.TrimSpace(text)
	if len(t) < 5 {
		return r.words(text, key)
	}
	r.embeds++
	defer func() { r.embeds-- }()
	if (t[0] == '{' || t[0] == '[') && json.Valid([]byte(t)) {
		if docs, err := oneJSON(text); err == nil {
			return r.edit(text, docs, oneJSON)
		}
	}
	if strings.Contains(text, "\n") && strings.ContainsAny(t, ":-") && !strings.HasPrefix(t, "#!") {
		if docs, err := parseYAML(text); err == nil && allNested(docs) {
			return r.edit(text, docs, parseYAML)
		}
	}
	return r.words(text, key)
}

func allNested(docs []*node) bool {
	for _, d := range docs {
		if len(d.items) == 0 {
			return false
		}
	}
	return len(docs) > 0
}

// hub edits the hub of a mapping that declares one with a tag for the images named
// inside it: all of them have to want the same.
func (w *walker) hub(n *node) {
	hub, tag := n.get("hub"), n.text("tag")
	old, ok := hub.scalar()
	if !ok || tag == "" {
		return
	}
	prefix, to := strings.TrimSuffix(old, "/"), ""
	var images []*node
	var raws []string
	agreed := true
	n.each(func(key string, item *node) {
		image, ok := item.scalar()
		raw := prefix + "/" + image + ":" + tag
		target, mapped := w.r.m[raw]
		if !ok || !mapped || !written.NamesImage(key) || strings.ContainsAny(image, "/:@") {
			return
		}
		head, ok := strings.CutSuffix(target, "/"+image+":"+tag)
		agreed = agreed && ok && (to == "" || to == head)
		to, images, raws = head, append(images, item), append(raws, raw)
	})
	if len(images) == 0 || !agreed || !w.want(hub, []edit{{0, len(prefix), to, raws}}) {
		return
	}
	for _, image := range images {
		w.wants[image] = nil
	}
}

// each calls f for every entry of the mappings at and below n.
func (n *node) each(f func(key string, item *node)) {
	for i, item := range n.items {
		if n.kind == mapKind {
			f(n.keys[i], item)
		}
		item.each(f)
	}
}
