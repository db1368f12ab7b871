package relocate

import (
	"context"
	"slices"
	"strings"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/lazy"
	"bundle/bundle/internal/written"
)

// An Alteration is what the overrides do besides moving references: an object, a
// container, an argument or a setting that they add, remove, rename or change. The
// chart does so by itself when a registry is set; values of any other kind that
// alter something are not used.
type Alteration struct {
	Change
	Keys []string // dotted paths of the values that bring it about
}

// A verdict says what a difference between two renders is.
type verdict int

const (
	nothing   verdict = iota // random, or references that moved
	noted                    // a text that names what moved, or a checksum of it: told, and harmless
	alteredIt                // anything else
)

// An examiner knows which differences between two renders the overrides may make.
type examiner struct {
	before, after *chart.Output
	random        map[chart.Position]bool
	moved         []Move
	texts         []replaced
}

// A replaced is the text of a value, and what is set in its place.
type replaced struct {
	was, now string
	registry bool // by its key, or because it was a host
}

func (j *examiner) verdict(x chart.Difference) verdict {
	switch {
	case j.random[x.Position], x.Had && x.Has && explained(x.Position, x.Before, x.After, j.moved), j.partOfReference(x):
		return nothing
	case j.namedByValue(x), j.writesRegistry(x):
		return noted
	case isName(x.Position), !x.Had, !x.Has:
		return alteredIt
	case hexSum().MatchString(x.Before) && hexSum().MatchString(x.After) && len(x.Before) == len(x.After):
		// A checksum of a template, as charts put it into annotations of pods so that
		// they restart, is proved by hashing what the template rendered to.
		if file := j.before.Hashed(x.Before); file != "" && file == j.after.Hashed(x.After) {
			return nothing
		}
		return noted
	case inMetadata(x.Path), j.namesValue(x):
		return noted
	}
	return alteredIt
}

// partOfReference tells whether a scalar came to one part of a reference that moved
// and is spread over several keys: a registry where there was none.
func (j *examiner) partOfReference(x chart.Difference) bool {
	return !x.Had && x.After != "" && slices.ContainsFunc(j.moved, func(m Move) bool {
		return m.Spread && m.Document == x.Document && m.Path.Parent() == x.Path.Parent() && strings.HasPrefix(m.Target, x.After)
	})
}

// namesValue tells whether a text differs only by a value that is written in it.
func (j *examiner) namesValue(x chart.Difference) bool {
	return slices.ContainsFunc(j.texts, func(t replaced) bool {
		if t.was == "" {
			return x.Before == strings.ReplaceAll(x.After, t.now, "") || x.Before == strings.ReplaceAll(x.After, t.now+"/", "")
		}
		return x.After == strings.ReplaceAll(x.Before, t.was, t.now)
	})
}

// namedByValue tells whether something came or went under a key that is the text of
// a value: the login for a registry, under the registry's name.
func (j *examiner) namedByValue(x chart.Difference) bool {
	last := x.Path.Last()
	return last.Kind == chart.KeyStep && x.Had != x.Has && slices.ContainsFunc(j.texts, func(t replaced) bool {
		return x.Has && strings.Contains(last.Text, t.now) || x.Had && t.was != "" && strings.Contains(last.Text, t.was)
	})
}

// writesRegistry tells whether something came that does no more than name a
// registry that is set: a scalar, an env entry, a dump of the values.
func (j *examiner) writesRegistry(x chart.Difference) bool {
	if x.Had && !slices.Contains([]string{"", "{}", "[]", "null"}, x.Before) || x.Path == (chart.Path{}) {
		return false
	}
	below := j.after.Below(x.Position)
	entry := x.Path.Parent().Last() == key("env")
	if len(below) > 1 && !entry && !x.Had {
		return false
	}
	for at, text := range below {
		if entry && at == x.Path.Key("name") {
			continue
		}
		if !slices.ContainsFunc(j.texts, func(t replaced) bool { return t.registry && strings.Contains(text, t.now) }) {
			return false
		}
	}
	return len(below) > 0
}

// isName tells whether a position is the name of an object.
func isName(p chart.Position) bool {
	return p.Path == chart.Path{}.Key("metadata").Key("name") || p.Path == chart.Path{}.Key("metadata").Key("namespace")
}

// inMetadata tells whether a path leads to a label or annotation, of an object or of
// the pods that it makes.
func inMetadata(p chart.Path) bool {
	steps := p.Steps()
	return len(steps) > 2 && steps[len(steps)-3] == key("metadata") &&
		(steps[len(steps)-2] == key("labels") || steps[len(steps)-2] == key("annotations"))
}

// hexSum matches a checksum: of a configuration, say, that a reference in it
// changed.
var hexSum = lazy.Regexp(`^[0-9a-f]{32,128}$`)

// examiner examines differences between the renders a and b, of which b has more values
// set.
func (p *prober) examiner(a, b *chart.Output, moved []Move, set overlay) *examiner {
	j := &examiner{before: a, after: b, random: p.random, moved: moved}
	for _, key := range sortedKeys(set) {
		now, ok := set[key].value.(string)
		if !ok || now == "" {
			continue
		}
		v, _ := set[key].path.lookup(p.base)
		was, _ := v.(string)
		s := slot{path: set[key].path, text: was, to: len(was)}
		j.texts = append(j.texts, replaced{was, now, s.isRegistry()})
	}
	return j
}

// alters returns the first thing that a view does besides moving references, and
// that the solver's present view does not do.
func (s *solver) alters(v *view, set overlay) *chart.Difference {
	var moved []Move
	for i, at := range s.spots {
		if was := s.now.reads[i]; was != v.reads[i] {
			moved = append(moved, Move{Finding: chart.Finding{Position: at.finding.Position, Raw: was}, Target: v.reads[i]})
		}
	}
	j := s.examiner(s.now.out, v.out, moved, set)
	for _, x := range s.now.out.Differences(v.out) {
		if j.verdict(x) == alteredIt {
			return &x
		}
	}
	return nil
}

// isRegistry tells whether a slot holds a registry: by its key, or by the host that
// is there now. Charts may do more than move references when one is set.
func (s *slot) isRegistry() bool {
	host, rest := written.CutHost(s.was())
	return kindOf(s.path) == registryKey || host != "" && rest == ""
}

// An altering is a key that would move a reference and is not used, for what it
// does besides.
type altering struct {
	key  string
	does string
}

// does says what a difference is, in words for people.
func does(x chart.Difference) string {
	where := x.Kind
	switch {
	case x.Name != "":
		where += " " + x.Name
	case x.Path == chart.Path{}:
		where = x.Before + x.After
	}
	if x.Path != (chart.Path{}) {
		where += " " + x.Path.String()
	}
	switch {
	case !x.Had:
		return "adds " + where
	case !x.Has:
		return "removes " + where
	}
	return "changes " + where
}

// blame finds the keys that bring about each alteration: those that do so alone, or
// else all.
func (d *derivation) blame(ctx context.Context, r *Result, set overlay) error {
	if len(r.Altered) == 0 {
		return nil
	}
	const most = 16 // keys that are looked at one by one
	keys := sortedKeys(set)
	for _, key := range keys {
		if len(keys) == 1 || len(keys) > most {
			break
		}
		out, err := d.probe(ctx, overlay{key: set[key]})
		if err != nil {
			if refusal(err) == nil && !spent(err) {
				return err
			}
			continue
		}
		alone := map[chart.Position]bool{}
		for _, x := range d.before.Differences(out) {
			alone[x.Position] = true
		}
		for i, a := range r.Altered {
			if alone[a.Position] {
				r.Altered[i].Keys = append(r.Altered[i].Keys, key)
			}
		}
	}
	for i := range r.Altered {
		if r.Altered[i].Keys == nil {
			r.Altered[i].Keys = keys
		}
	}
	return nil
}
