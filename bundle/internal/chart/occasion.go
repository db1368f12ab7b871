package chart

import (
	"maps"
	"path"
	"slices"
	"strings"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	helmengine "helm.sh/helm/v3/pkg/engine"

	"bundle/bundle/internal/lazy"
)

// A When says on which occasion a chart writes a document that an installation as
// it was asked for does not have.
type When string

const (
	// Always is any render.
	Always When = ""
	// OnUpgrade is an upgrade of a release that is installed already.
	OnUpgrade When = "upgrade"
	// OnLookup is when lookup finds what it looks for in the cluster.
	OnLookup When = "lookup"
	// OnAPIs is a cluster with further API versions, which the chart asks for.
	OnAPIs When = "apis"
)

// NotSeen is what could not be looked into: on an occasion, the template did not
// render.
type NotSeen struct {
	When     When
	Template string
	Reason   string
}

// An occasion is one way in which a chart may be rendered otherwise.
type occasion struct {
	when    When
	upgrade bool
	lookup  bool
	apis    []string
}

// apiName matches a text that may be an API version, with or without a kind.
var apiName = lazy.Regexp("[\"'`]((?:[a-z0-9.-]+/)?v[0-9][a-z0-9]*(?:/[A-Z][A-Za-z0-9]*)?)[\"'`]")

// A speech is what the templates of a chart speak of.
type speech struct {
	upgrade, lookup bool
	apis            []string
}

// speaks reads the texts of all templates, and of those files of the chart that may
// be given to tpl.
func (c *Chart) speaks() *speech {
	c.speechOnce.Do(func() {
		texts := c.Templates()
		for _, f := range c.Files() {
			if strings.Contains(f.Text, "{{") {
				texts = append(texts, f)
			}
		}
		asks := false
		for _, f := range texts {
			has := func(word string) bool { return strings.Contains(f.Text, word) }
			c.speech.upgrade = c.speech.upgrade || has("IsUpgrade") || has("IsInstall") || has("Release.Revision")
			c.speech.lookup = c.speech.lookup || has("lookup")
			asks = asks || has("APIVersions")
		}
		if !asks {
			return
		}
		names := map[string]bool{}
		for _, f := range texts {
			for _, m := range apiName().FindAllStringSubmatch(f.Text, -1) {
				names[m[1]] = true
			}
		}
		c.speech.apis = slices.Sorted(maps.Keys(names))
	})
	return &c.speech
}

// maxAPIs limits the API versions that are added at once.
const maxAPIs = 500

// occasions lists those that the chart speaks of.
func (c *Chart) occasions(caps *chartutil.Capabilities) []occasion {
	s := c.speaks()
	var list []occasion
	if s.upgrade {
		list = append(list, occasion{when: OnUpgrade, upgrade: true})
	}
	if s.lookup {
		list = append(list, occasion{when: OnLookup, lookup: true})
		if s.upgrade {
			list = append(list, occasion{when: OnUpgrade, upgrade: true, lookup: true})
		}
	}
	missing := slices.DeleteFunc(slices.Clone(s.apis), func(api string) bool { return caps.APIVersions.Has(api) })
	if len(missing) > 0 {
		list = append(list, occasion{when: OnAPIs, apis: missing[:min(maxAPIs, len(missing))]})
	}
	return list
}

// top returns what templates see on the occasion.
func (x occasion) top(top chartutil.Values, caps *chartutil.Capabilities) chartutil.Values {
	top = maps.Clone(top)
	if release, ok := top["Release"].(map[string]any); ok && x.upgrade {
		release = maps.Clone(release)
		release["IsUpgrade"], release["IsInstall"], release["Revision"] = true, false, 2
		top["Release"] = release
	}
	if len(x.apis) > 0 {
		more := caps.Copy()
		more.APIVersions = slices.Concat(caps.APIVersions, x.apis)
		top["Capabilities"] = more
	}
	return top
}

// further adds to out, a render without occasions, the documents with references
// that only occasions show. Each is rendered leniently: templates that read nothing
// of it are not executed again, and one that does not render leaves the others
// alone. A document is left out when out has its references, at the same places in
// documents of the same kind, from the same template.
func (c *Chart) further(o RenderOptions, caps *chartutil.Capabilities, base *renderings, out *Output) error {
	list := c.occasions(caps)
	if len(list) == 0 {
		return nil
	}
	e := c.lenient()
	p, values, err := e.process(c.helm, o, caps)
	if err != nil {
		return c.fail(err.Error(), err)
	}
	how := mode{stub: true, fresh: !o.SameRandom && !o.Strict}
	if base == nil {
		if base, err = e.render(p.chart, values, how, o.working); err != nil {
			return nil // the chart renders strictly alone: nothing to compare with
		}
	}
	have := placesOf(out)
	for _, x := range list {
		if len(base.writers) > 0 {
			if _, values, err = e.process(c.helm, o, caps); err != nil {
				return c.fail(err.Error(), err)
			}
		}
		how.lookup = x.lookup
		found := e.occasion(p.chart, x.top(values, caps), how, base, o.working)
		if o.Strict && x.upgrade && !x.lookup && len(found.byName) > 0 {
			maps.Copy(found.writers, base.writers)
			c.upgrade(o, caps, found, out)
		}
		c.addOccasion(x.when, found, have, out)
	}
	return nil
}

// A spot is where a reference stands, in documents of one kind from one template.
type spot struct {
	template, kind string
	at             Position
	raw            string
}

func placesOf(out *Output) map[spot]bool {
	have := map[spot]bool{}
	for i := range out.Manifests {
		m := &out.Manifests[i]
		for _, f := range m.doc.findings() {
			have[spot{m.Template, m.Kind, f.at, f.raw}] = true
		}
	}
	return have
}

// addOccasion adds the documents with references that are not known, and says what
// failed.
func (c *Chart) addOccasion(when When, found *renderings, have map[spot]bool, out *Output) {
	for _, name := range slices.Sorted(maps.Keys(found.byName)) {
		var docs []*document
		for _, d := range found.byName[name].documents(&c.docs) {
			news := false
			for _, f := range d.findings() {
				s := spot{name, newManifest(name, d).Kind, f.at, f.raw}
				news = news || !have[s]
				have[s] = true
			}
			if news {
				docs = append(docs, d)
			}
		}
		out.addWhen(when, name, docs)
	}
	for _, name := range slices.Sorted(maps.Keys(found.failed)) {
		out.notSeen(when, name, newRenderError(c.Name(), found.failed[name]))
	}
}

// notSeen notes why a template could not be looked into, once for an occasion.
func (o *Output) notSeen(when When, template string, err *RenderError) {
	if !slices.ContainsFunc(o.NotSeen, func(n NotSeen) bool { return n.When == when && n.Template == template }) {
		o.NotSeen = append(o.NotSeen, NotSeen{when, template, err.Message})
	}
}

// upgrade renders an upgrade strictly, by Helm's own engine, and puts what that
// gives in the place of what was found leniently. When the chart refuses, that
// stays, and the refusal is noted. Templates that those need are rendered alone, if
// that can be done.
func (c *Chart) upgrade(o RenderOptions, caps *chartutil.Capabilities, found *renderings, out *Output) {
	e := c.lenient()
	o.working("")
	var files map[string]string
	p, values, err := e.process(c.helm, o, caps)
	if err == nil {
		files, err = helmengine.Engine{}.Render(only(p.chart, e.needed(found)), occasion{upgrade: true}.top(values, caps))
	}
	if err != nil {
		h := clone(c.helm)
		if values, err = renderValues(h, o, caps); err == nil {
			files, err = helmengine.Engine{}.Render(h, occasion{upgrade: true}.top(values, caps))
		}
	}
	if err != nil {
		e := newRenderError(c.Name(), err)
		out.notSeen(OnUpgrade, e.Template, e)
		return
	}
	for name := range found.byName {
		found.byName[name] = &rendering{text: files[name]}
	}
}

// needed names the files with the templates that were found, those that change what
// they see, and all that any of them calls.
func (e *engine) needed(found *renderings) map[string]bool {
	files, called := map[string]bool{}, map[string]bool{}
	for _, byName := range []map[string]*rendering{found.byName, found.writers} {
		for name, r := range byName {
			files[name] = true
			for other := range r.calls {
				called[other] = true
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, f := range e.trees {
		for defined := range f.trees {
			files[name] = files[name] || called[defined]
		}
	}
	return files
}

// only is a chart with some of its templates; the original stays as it is.
func only(h *helm.Chart, files map[string]bool) *helm.Chart {
	c := &helm.Chart{Metadata: h.Metadata, Files: h.Files, Values: h.Values}
	dir := h.ChartFullPath()
	for _, f := range h.Templates {
		if f != nil && files[path.Join(dir, f.Name)] {
			c.Templates = append(c.Templates, f)
		}
	}
	for _, dep := range h.Dependencies() {
		c.AddDependency(only(dep, files))
	}
	return c
}

// renderings are what the templates of one render gave.
type renderings struct {
	byName  map[string]*rendering
	failed  map[string]error      // on an occasion
	writers map[string]*rendering // of templates that changed the values
}

// occasion renders the templates that read something that is another than in base,
// and returns those that give another text.
func (e *engine) occasion(h *helm.Chart, top chartutil.Values, how mode, base *renderings, begins func(string)) *renderings {
	found := &renderings{byName: map[string]*rendering{}, failed: map[string]error{}, writers: map[string]*rendering{}}
	root, list := e.contexts(h, top)
	list = slices.DeleteFunc(list, func(s source) bool { return strings.HasSuffix(s.name, notesSuffix) })
	set, err := e.set(list)
	if err != nil {
		return found // base has the same templates, and they parse
	}
	m := e.machine(set, how)
	defer e.release(set, m)
	m.begin(root, begins)
	for _, s := range list {
		was := base.byName[s.name]
		if strings.HasPrefix(path.Base(s.name), "_") || was != nil && !was.wrote && !m.view.lost && was.holds(m.view, set) {
			continue
		}
		r, err := e.execute(m, s)
		if r.wrote {
			found.writers[s.name] = r
		}
		switch {
		case err != nil:
			found.failed[s.name] = err
		case was == nil || r.text != was.text:
			found.byName[s.name] = r
		}
	}
	return found
}

// lookupLook is a look at what lookup answers.
const lookupLook = "\x00\x00lookup"

// lookup answers that there is nothing or, on an occasion, something that has all
// keys that templates may look for.
func (m *machine) lookup(apiVersion, kind, namespace, name string) map[string]any {
	m.looksAt(lookupLook)
	if !m.mode.lookup {
		return map[string]any{}
	}
	text := func() map[string]any {
		all := make(map[string]any, len(m.set.words()))
		for _, w := range m.set.words() {
			all[w] = "c3R1Yg==" // base64 of "stub"
		}
		return all
	}
	object := map[string]any{
		"apiVersion": apiVersion, "kind": kind,
		"metadata": map[string]any{
			"name": name, "namespace": namespace, "uid": "00000000-0000-4000-8000-000000000000", "resourceVersion": "1",
			"creationTimestamp": "2020-01-01T00:00:00Z", "labels": text(), "annotations": text(),
		},
		"data": text(), "spec": map[string]any{}, "status": map[string]any{},
	}
	if name != "" {
		return object
	}
	object["metadata"].(map[string]any)["name"] = "stub"
	return map[string]any{"apiVersion": apiVersion, "kind": kind + "List", "items": []any{object}}
}

var quotedWord = lazy.Regexp(`"([A-Za-z][A-Za-z0-9_.-]{0,60})"|\.([A-Za-z][A-Za-z0-9_]{0,60})`)

// maxWords limits what an object that lookup finds has.
const maxWords = 500

// lookedFor lists the words that texts with a lookup quote or name as fields.
func lookedFor(list []source) []string {
	all := map[string]bool{}
	for _, s := range list {
		if text := string(s.file.Data); strings.Contains(text, "lookup") {
			for _, m := range quotedWord().FindAllStringSubmatch(text, -1) {
				all[m[1]+m[2]] = true
			}
		}
	}
	words := slices.Sorted(maps.Keys(all))
	return words[:min(maxWords, len(words))]
}
