package relocate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/lazy"
	"bundle/bundle/internal/name"
)

// A DisabledFinding is an image reference that the chart writes only when
// something is switched on that is off.
type DisabledFinding struct {
	chart.Finding
	Switch []string // dotted paths of values that have to be true for it, the outermost first
}

// DisabledImages is what [Disabled] found out.
type DisabledImages struct {
	Found []DisabledFinding // sorted by the switch, then in the order of the manifests; each reference once for a switch
	// Failed are switches with which alone the chart does not render.
	Failed []string
	// Untried counts switches beyond the limit of renders.
	Untried int
	Renders int
}

// maxSwitches limits how many switches Disabled tries.
const maxSwitches = 400

// atOnce is how many renders there are at a time, at most: they have one process, and what
// it may take before the first is given up is for all of them together.
const atOnce = 4

// Disabled looks for images of components that are off: it switches on, one at
// a time, each value that is false and looks like a switch by its name, and
// each condition or tag of a subchart, together with the switches above it, and
// lists the references that no render without it has. The request's Render is
// where it starts from; Target and PullSecret do not count.
func Disabled(ctx context.Context, r Request) (*DisabledImages, error) {
	ctx, cancel := limited(ctx, r.Chart)
	defer cancel()
	p := &prober{chart: r.Chart, options: r.Render}
	before, err := p.probe(ctx, nil)
	if err != nil {
		return nil, err
	}
	switches, base, err := findSwitches(r.Chart, r.Render.Values)
	if err != nil {
		return nil, err
	}
	d := &DisabledImages{}
	if len(switches) > maxSwitches {
		d.Untried = len(switches) - maxSwitches
		switches = switches[:maxSwitches]
	}
	known := map[string]bool{}
	for _, f := range before.Findings() {
		known[f.Raw] = true
	}
	found := make([][]chart.Finding, len(switches))
	failed := make([]bool, len(switches))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(min(runtime.GOMAXPROCS(0), atOnce))
	for i, s := range switches {
		g.Go(func() error {
			p := &prober{chart: r.Chart, options: r.Render, base: base}
			out, err := p.probe(ctx, s.overlay())
			if refusal(err) != nil {
				failed[i] = true
				return nil
			}
			if err == nil {
				found[i] = newFindings(out, known)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	d.Renders = len(switches) + 1
	d.collect(switches, found, failed)
	return d, nil
}

// newFindings are those of references that are not known, each once.
func newFindings(out *chart.Output, known map[string]bool) []chart.Finding {
	var list []chart.Finding
	seen := map[string]bool{}
	for _, f := range out.Findings() {
		if !known[f.Raw] && !seen[f.Raw] && f.Confidence != name.Placeholder {
			seen[f.Raw] = true
			list = append(list, f)
		}
	}
	return list
}

// collect attributes the findings: what the switches above bring along belongs
// to them.
func (d *DisabledImages) collect(switches []switchSet, found [][]chart.Finding, failed []bool) {
	brings := map[string]map[string]bool{} // switch → references
	for i, s := range switches {
		own := map[string]bool{}
		for _, f := range found[i] {
			own[f.Raw] = true
		}
		brings[s.name()] = own
		if failed[i] {
			d.Failed = append(d.Failed, s.name())
		}
		for _, f := range found[i] {
			if !slices.ContainsFunc(s[:len(s)-1], func(above path) bool { return brings[above.String()][f.Raw] }) {
				d.Found = append(d.Found, DisabledFinding{f, s.names()})
			}
		}
	}
}

// A switchSet is a switch behind those above it, all to be set true together.
type switchSet []path

func (s switchSet) name() string { return s[len(s)-1].String() }

func (s switchSet) names() []string {
	var list []string
	for _, p := range s {
		list = append(list, p.String())
	}
	return list
}

func (s switchSet) overlay() overlay {
	o := overlay{}
	for _, p := range s {
		o[p.String()] = setting{p, true}
	}
	return o
}

// switchKey matches a key that says that something is there or not.
var switchKey = lazy.Regexp(`(?i)^(enabled?|create|install(ed)?|deploy(ed)?|use|active|activated?|on|bundled|internal|present)$|^(enable|create|install|deploy|use|with|include|add|run)[_-]?[A-Z0-9_].*|.*(Enabled?|_enabled?|-enabled?|Deploy(ed)?|Install(ed)?|Create)$`)

// findSwitches lists the switches that are off, those above others first, and
// the values with all subcharts enabled.
func findSwitches(c *chart.Chart, values map[string]any) ([]switchSet, map[string]any, error) {
	subcharts, err := conditions(c)
	if err != nil {
		return nil, nil, err
	}
	base, err := c.Coalesced(values)
	if err != nil {
		return nil, nil, fmt.Errorf("values of chart %s: %w", c.Name(), err)
	}
	on := overlay{}
	for _, list := range subcharts {
		for _, p := range list {
			if v, ok := p.lookup(base); ok && v == false {
				on[p.String()] = setting{p, true}
			}
		}
	}
	all, err := c.Coalesced(chart.Merge(values, on.values(base)))
	if err != nil {
		return nil, nil, fmt.Errorf("values of chart %s: %w", c.Name(), err)
	}
	off := map[string]path{}
	for k, s := range on {
		off[k] = s.path
	}
	charts := readTemplates(c.Templates()).charts
	walk(nil, all, func(p path, v any) bool {
		if globalCopy(p, charts) {
			return false
		}
		if len(p) > 0 && v == false && switchKey().MatchString(p.key()) {
			off[p.String()] = p
		}
		return true
	})
	return withParents(off, subcharts), all, nil
}

// withParents puts in front of each switch those above it: of a map around it,
// and of the subchart that it belongs to.
func withParents(off map[string]path, subcharts map[string][]path) []switchSet {
	list := make([]switchSet, 0, len(off))
	for _, key := range sortedKeys(off) {
		p := off[key]
		var above switchSet
		for _, k := range sortedKeys(off) {
			q := off[k]
			around := len(q) < len(p) && slices.Equal(q[:len(q)-1], p[:len(q)-1]) && isBareSwitch(q.key())
			if around || slices.ContainsFunc(subcharts[fmt.Sprint(p[0])], func(c path) bool { return len(p) > 1 && c.String() == k && k != key }) {
				above = append(above, q)
			}
		}
		slices.SortStableFunc(above, func(a, b path) int { return cmp.Compare(len(a), len(b)) })
		list = append(list, append(above, p))
	}
	slices.SortStableFunc(list, func(a, b switchSet) int { return cmp.Compare(len(a), len(b)) })
	return list
}

// isBareSwitch tells whether a key switches the map that it stands in, and not
// something beside it.
func isBareSwitch(key string) bool {
	return slices.Contains([]string{"enabled", "enable", "create", "install", "deploy", "installed", "deployed"}, strings.ToLower(key))
}

// conditions lists, by the name or alias of each dependency, the values that
// enable it: its condition, and its tags.
func conditions(c *chart.Chart) (map[string][]path, error) {
	b, err := c.ConfigJSON()
	if err != nil {
		return nil, err
	}
	var meta struct {
		Dependencies []struct {
			Name, Alias, Condition string
			Tags                   []string
		}
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		return nil, fmt.Errorf("metadata of chart %s: %w", c.Name(), err)
	}
	all := map[string][]path{}
	for _, d := range meta.Dependencies {
		name := cmp.Or(d.Alias, d.Name)
		for _, condition := range strings.Split(d.Condition, ",") {
			if condition = strings.TrimSpace(condition); condition != "" {
				all[name] = append(all[name], splitPath(condition))
			}
		}
		for _, tag := range d.Tags {
			all[name] = append(all[name], path{"tags", tag})
		}
	}
	return all, nil
}
