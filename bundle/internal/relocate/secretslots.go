package relocate

import (
	"slices"
	"strings"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/lazy"
)

// A shape is a form in which charts take the names of pull secrets.
type shape int

const (
	mapShape    shape = iota // a list of {name: secret}, as pods have it
	stringShape              // a list of names
	singleShape              // one name
)

// A secretSlot is a place in the values that may take a pull secret.
type secretSlot struct {
	path   path
	now    any     // what is there; nil for nothing
	shapes []shape // still to be tried, the likeliest first
	absent bool
	// sentinel is the name that is put there to see where it shows up.
	sentinel string
}

// with is the value with one more secret: what is there stays.
func (s *secretSlot) with(name string) any {
	var item any = name
	switch s.shapes[0] {
	case singleShape:
		return name
	case mapShape:
		item = map[string]any{"name": name}
	}
	list, _ := s.now.([]any)
	return append(slices.Clone(list), item)
}

var (
	pullSecretKey = lazy.Regexp(`(?i)pull[_-]?(secret|cred)|(image|registry|docker)[_-]?(secret|cred)|^reg-?cred`)
	secretOf      = lazy.Regexp(`(?i)^(secret|secrets|secretname|secretnames|existingsecret|credentials|creds)$`)
	secretParent  = lazy.Regexp(`(?i)image|registry|docker`)
	// notSecret are last words of keys that say something else about a secret.
	notSecret = lazy.Regexp(`(?i)(data|json|password|passwd|user|username|email|server|create|enabled?|annotations?|labels?|content|namespace|policy|key|path|type)$`)
	oneSecret = lazy.Regexp(`(?i)(secret|cred|name)$`)
)

// takesSecret judges a key by its name.
func takesSecret(p path) bool {
	key, parent := p.key(), p.parentKey()
	if _, ok := p[len(p)-1].(string); !ok || notSecret().MatchString(key) {
		return false
	}
	return pullSecretKey().MatchString(key) ||
		pullSecretKey().MatchString(parent) ||
		secretParent().MatchString(parent) && secretOf().MatchString(key)
}

// newSecretSlot returns nil for a value that cannot take a secret; user holds
// the values that the user gave, of which none is replaced.
func newSecretSlot(p path, v any, user map[string]any) *secretSlot {
	s := &secretSlot{path: p, now: v}
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			s.shapes = []shape{mapShape, stringShape}
			break
		}
		switch first := v[0].(type) {
		case string:
			s.shapes = []shape{stringShape}
		case map[string]any:
			if _, ok := first["name"].(string); !ok {
				return nil
			}
			s.shapes = []shape{mapShape}
		default:
			return nil
		}
	case string:
		if given, _ := p.lookup(user); v != "" && given != nil {
			return nil
		}
		s.shapes = []shape{singleShape}
		if v == "" {
			s.shapes = []shape{singleShape, mapShape, stringShape}
		}
	case map[string]any:
		if len(v) > 0 {
			return nil
		}
		s.shapes = []shape{mapShape, stringShape, singleShape}
	case nil:
		s.shapes = []shape{mapShape, stringShape, singleShape}
		if oneSecret().MatchString(p.key()) {
			s.shapes = []shape{singleShape, mapShape, stringShape}
		}
	default:
		return nil
	}
	return s
}

// absentSecrets is the stage of keys that only templates know.
const absentSecrets = 2

// secretSlots lists the slots of a chart in stages: what is passed down to
// subcharts, keys of the values, keys that only templates know.
func (d *derivation) secretSlots(o overlay) [][]*secretSlot {
	stages := make([][]*secretSlot, absentSecrets+1)
	add := func(p path, v any, absent bool) {
		s := newSecretSlot(p, v, d.options.Values)
		if s == nil || collides(p, o) {
			return
		}
		s.absent = absent
		switch {
		case p.global():
			stages[0] = append(stages[0], s)
		case !absent:
			stages[1] = append(stages[1], s)
		default:
			stages[absentSecrets] = append(stages[absentSecrets], s)
		}
	}
	read := d.templates()
	walk(nil, d.base, func(p path, v any) bool {
		if globalCopy(p, read.charts) {
			return false
		}
		if len(p) > 0 && takesSecret(p) {
			add(p, v, false)
			_, list := v.([]any)
			return !list // its items are secrets that stay
		}
		return true
	})
	known := read.keys(takesSecret)
	for _, p := range slices.Concat(known, read.below(podMaps(d.base), takesSecret)) {
		if _, ok := p.lookup(d.base); !ok && reachable(p, d.base) && !slices.ContainsFunc(stages[absentSecrets], func(s *secretSlot) bool { return s.path.String() == p.String() }) {
			add(p, nil, true)
		}
	}
	return stages
}

// collides tells whether a path is the same as, above or below one that is set.
func collides(p path, o overlay) bool {
	for _, s := range o {
		n := min(len(p), len(s.path))
		if slices.Equal(p[:n], s.path[:n]) {
			return true
		}
	}
	return false
}

// podMaps lists the maps in values that seem to describe an image, or a
// component that has one.
func podMaps(values map[string]any) []path {
	var list []path
	walk(nil, values, func(p path, v any) bool {
		m, ok := v.(map[string]any)
		if !ok {
			return false
		}
		has := func(keys ...string) bool {
			return slices.ContainsFunc(keys, func(k string) bool { _, ok := m[k]; return ok })
		}
		if isImageMap(m) || has("image", "images", "podSecurityContext", "serviceAccount", "nodeSelector") {
			list = append(list, p)
		}
		return true
	})
	return list
}

// A coverage says which pods get a pull secret.
type coverage struct {
	pods map[chart.Position]podSecrets
	// others are further places where a secret's name stands: custom resources,
	// settings of controllers, service accounts of pods that are made later.
	others map[chart.Position]string // place → its text
	// wrong are scalars where a name has no business to be: a list of names where
	// Kubernetes wants maps, or a map or list as Go prints it.
	wrong  []string
	broken int // documents that are no manifests
	out    *chart.Output
}

// mistaken tells whether a secret's name is at a wrong place: the value has not
// the shape that the chart expects.
func (c *coverage) mistaken(name string) bool {
	return slices.ContainsFunc(c.wrong, func(text string) bool { return strings.Contains(text, name) })
}

// podSecrets is what counts for one pod.
type podSecrets struct {
	chart.Pod
	names   []string
	through chart.Position // the ServiceAccount they come from
}

// cover reads the pull secrets of all pods. The secrets of a service account
// count for the pods that run under it and have none of their own: that is how
// Kubernetes admits pods.
func cover(out *chart.Output, namespace string) *coverage {
	space, broken := map[chart.Document]string{}, 0
	for i := range out.Manifests {
		m := &out.Manifests[i]
		if m.Kind == "" {
			broken++
		}
		if space[m.ID] = m.Namespace; m.Namespace == "" {
			space[m.ID] = namespace
		}
	}
	account := func(p chart.Pod) string {
		name := p.ServiceAccount
		if name == "" {
			name = "default"
		}
		return space[p.Document] + "/" + name
	}
	c := &coverage{pods: map[chart.Position]podSecrets{}, others: map[chart.Position]string{}, broken: broken, out: out}
	accounts, used := map[string]chart.Pod{}, map[chart.Position]bool{}
	all := out.Pods()
	for _, p := range all {
		if p.Kind == "ServiceAccount" {
			accounts[account(p)] = p
		}
	}
	skip := map[chart.Position]bool{}
	for _, p := range all {
		if p.Kind == "ServiceAccount" {
			continue
		}
		skip[p.Position] = true
		s := podSecrets{Pod: p, names: p.PullSecrets}
		if a, ok := accounts[account(p)]; ok {
			used[a.Position] = true
			if len(s.names) == 0 {
				s.names, s.through = a.PullSecrets, a.Position
			}
		}
		c.pods[p.Position] = s
	}
	for at := range used {
		skip[at] = true
	}
	c.readOthers(out, skip)
	return c
}

// readOthers collects the scalars outside of pods whose path, or name of an env
// entry, or flag speaks of pull secrets.
func (c *coverage) readOthers(out *chart.Output, skip map[chart.Position]bool) {
	leaves := out.Leaves()
	for _, at := range sortedPositions(leaves) {
		if !aboutSecrets(at, leaves) {
			continue
		}
		if strings.Contains(leaves[at], "map[name:") || strings.HasPrefix(leaves[at], "[") || misplaced(at.Path) {
			c.wrong = append(c.wrong, leaves[at])
			continue
		}
		if pod, ok := podOf(at.Path); ok && skip[at.At(pod)] {
			continue
		}
		c.others[at.At(placeOf(at.Path))] += " " + leaves[at]
	}
}

var secretPlace = lazy.Regexp(`(?i)pull[_-]?secret`)

// aboutSecrets tells whether a scalar is about pull secrets: by its path, by
// the name of an env entry, or by its flag.
func aboutSecrets(at chart.Position, leaves map[chart.Position]string) bool {
	if slices.ContainsFunc(at.Path.Steps(), func(s chart.Step) bool { return secretPlace().MatchString(s.Text) }) {
		return true
	}
	if at.Path.Last() == key("value") && secretPlace().MatchString(leaves[at.At(at.Path.Parent().Key("name"))]) {
		return true
	}
	return strings.HasPrefix(leaves[at], "-") && secretPlace().MatchString(leaves[at])
}

func key(name string) chart.Step { return chart.Step{Kind: chart.KeyStep, Text: name} }

func isElement(s chart.Step) bool { return s.Kind == chart.IndexStep || s.Kind == chart.ItemStep }

// podOf is the pod specification to whose pull secrets a path leads: as the name
// of one of them.
func podOf(p chart.Path) (pod chart.Path, ok bool) {
	list := p.Parent().Parent()
	return list.Parent(), p.Last() == key("name") && isElement(p.Parent().Last()) && list.Last() == key("imagePullSecrets")
}

// misplaced tells whether a scalar has no business to be at a path: where pods
// have a list of maps, or below the value of an env entry.
func misplaced(p chart.Path) bool {
	if p.Embedded() {
		return false
	}
	steps := p.Steps()
	for i, s := range steps {
		below := steps[i+1:]
		switch {
		case s == key("imagePullSecrets"):
			if len(below) == 0 || isElement(below[0]) && (len(below) == 1 || below[1] == key("name") && len(below) > 2) {
				return true
			}
		case s == key("env") && len(below) > 2 && isElement(below[0]) && below[1] == key("value"):
			return true
		}
	}
	return false
}

// placeOf cuts a path behind the last key that speaks of pull secrets, if it leads
// to elements of a list below.
func placeOf(p chart.Path) chart.Path {
	place, listed := p, false
	for at := p; at != (chart.Path{}) && at.Last().Kind != chart.IntoStep; at = at.Parent() {
		listed = listed || isElement(at.Last())
		if parent := at.Parent(); listed && parent.Last().Kind == chart.KeyStep && secretPlace().MatchString(parent.Last().Text) {
			place = parent
			break
		}
	}
	return place
}
