package emit

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/relocate"
	"bundle/bundle/internal/source"
)

// An ChartReport says what became of a chart.
type ChartReport struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Target  string   `json:"target,omitempty"`  // oci:// reference without version, where the registry has it
	Archive string   `json:"archive,omitempty"` // else its file, relative to the output folder
	Files   []string `json:"files"`             // values files for helm, in order, relative to the output folder
	Keys    []string `json:"keys"`              // values keys that the emitted file sets
	Moved   int      `json:"moved"`             // references proved to point to the target
	Left    []Left   `json:"left,omitempty"`

	Excluded []record.Finding `json:"excluded,omitempty"` // references that stay outside because the user says so

	Named     []string       `json:"named,omitempty"`    // settings that still name a source registry, but pull nothing by it
	Changed   []string       `json:"changed,omitempty"`  // what else the values change, besides references: checksums, labels and the like
	Altered   []string       `json:"altered,omitempty"`  // objects, containers, arguments and settings that the values add, remove or change
	Unlocked  []string       `json:"unlocked,omitempty"` // those of Keys that only make the chart accept other images, as its message asks
	Remarks   []string       `json:"remarks,omitempty"`  // what programs fetch while they run, and resources whose operators choose images
	Short     bool           `json:"short,omitempty"`    // the search ended at its bound: other values may move more
	Renders   int            `json:"renders"`
	Release   string         `json:"release"`
	Namespace string         `json:"namespace"`
	Set       map[string]any `json:"set"`      // the values that move references, as the emitted file has them
	Commands  []string       `json:"commands"` // what installs it, in order, Helm among it

	Helm string `json:"helm"` // the command that installs it, for Helm 3 and Helm 4

	Outside3  []string `json:"outsideHelm3,omitempty"` // references that the command leaves outside with Helm 3, hooks for one
	Outside4  []string `json:"outsideHelm4,omitempty"` // and with Helm 4
	Kustomize string   `json:"kustomize,omitempty"`    // the command that installs the rendered folder instead
	Stuck     []string `json:"stuck,omitempty"`        // references that no way moves
	GitOps    []string `json:"gitOps,omitempty"`       // files for GitOps, relative to the output folder
	Warnings  []string `json:"warnings,omitempty"`     // what keeps a way from being of use, or Helm from its own checks

	Secrets     int      `json:"secrets,omitempty"`     // pods proved to name the pull secret
	SecretsLeft []string `json:"secretsLeft,omitempty"` // pods that do not, and why
	Kubectl     string   `json:"kubectl,omitempty"`     // the command that creates the pull secret
}

// A Left is a reference that values do not move, or that nobody can
// pull.
type Left struct {
	record.Finding
	Reason string   `json:"reason"`
	Target string   `json:"target,omitempty"` // where it should point
	Needs  []string `json:"needs,omitempty"`  // what was proved to move it all the same, see the Way constants

	raw      string         // as the chart has it
	position chart.Position // where that is
}

func (c *Chart) Report(o Options) ChartReport {
	r := ChartReport{
		Name:    c.Record.Name,
		Version: c.Record.Version,
		Target:  "oci://" + c.Naming.Chart(c.Record.Name),
		Archive: c.archive(),
		Files:   c.files(),
		Keys:    record.Printables(c.result.Keys),
		Moved:   len(c.result.Moved),
		Left:    c.Left,

		Excluded: c.excluded,

		Renders: c.result.Renders,
		Helm:    c.helmInstall(o),

		Release: c.Record.Release, Namespace: c.Record.Namespace,
		Commands: c.commands(o),
	}
	_ = yaml.Unmarshal(c.Values, &r.Set) // Derive has read it back before
	for _, u := range c.unread() {
		r.Warnings = append(r.Warnings, record.Printable(fmt.Sprintf("Helm would fetch %s for %s: without a network it takes --skip-schema-validation to install the chart", u.URL, u.File)))
	}
	for _, n := range c.output.NotSeen {
		r.Warnings = append(r.Warnings, record.Printable(fmt.Sprintf("%s was not looked into for %s: %s", n.Template, occasions[n.When], clip(n.Reason))))
	}
	if c.nulls {
		r.Warnings = append(r.Warnings, "the values hold nulls out of lists of the chart, which it wants: versions of Helm differ in what they make of them")
	}
	c.addWays(&r, o)
	r.Warnings = append(r.Warnings, c.generatedWarnings(o)...)
	r.Warnings = append(r.Warnings, c.gitOpsWarnings(o)...)
	r.GitOps = c.gitOpsNames(o)
	if c.beside {
		r.Target = ""
	}
	for _, n := range c.result.Named {
		if n.Reads == n.Raw {
			r.Named = append(r.Named, fmt.Sprintf("%s: %s", n.Raw, source.Finding(c.Record, n.Finding, nil).Where()))
		}
	}
	for _, ch := range c.result.Changed {
		r.Changed = append(r.Changed, changeText(ch))
	}
	r.Altered, r.Short = c.altered(), c.result.Short
	r.Unlocked, r.Remarks = record.Printables(c.result.Unlocked), c.remarks()
	if o.PullSecret != "" {
		r.Secrets = len(c.result.Secrets)
		r.Kubectl = c.kubectlSecret(o)
		for _, l := range c.result.SecretsLeft {
			r.SecretsLeft = append(r.SecretsLeft, record.Printable(fmt.Sprintf("%s: %s %s: %s", l.Template, l.Kind, l.Name, l.Reason)))
		}
	}
	return r
}

// occasions are the names of what a chart may be rendered for besides an installation.
var occasions = map[chart.When]string{
	chart.OnUpgrade: "upgrades",
	chart.OnLookup:  "what lookup may find in a cluster",
	chart.OnAPIs:    "clusters with further APIs",
}

// changeText says what a change is and where.
func changeText(ch relocate.Change) string {
	return record.Printable(fmt.Sprintf("%s: %s %s: %q becomes %q", ch.Template, ch.Kind, ch.Path, clip(ch.Before), clip(ch.After)))
}

// altered lists what the values do besides moving references, and which of them.
func (c *Chart) altered() (all []string) {
	for _, a := range c.result.Altered {
		text := changeText(a.Change)
		if len(a.Keys) > 0 {
			text += ", by " + record.Printable(strings.Join(a.Keys, ", "))
		}
		all = append(all, text)
	}
	return all
}

// remarks lists what no reference shows: downloads, and images that operators bring.
func (c *Chart) remarks() (all []string) {
	for _, m := range c.result.Remarks {
		if m.Test && c.Record.SkipTests {
			continue
		}
		what := "it fetches from outside while it runs"
		if m.About == chart.Operator {
			what = "its operator may bring images of its own"
		}
		all = append(all, record.Printable(fmt.Sprintf("%s: %s %s: %s: %s", m.Template, m.Kind, m.Path, what, m.Text)))
	}
	return all
}

// addWays says how far the command goes, and what goes further.
func (c *Chart) addWays(r *ChartReport, o Options) {
	for _, l := range c.Left {
		if l.Target == "" {
			continue
		}
		if len(l.Needs) == 0 {
			r.Stuck = once(r.Stuck, l.Raw)
		}
		if o.OutputDir == "" {
			continue // nothing is installed
		}
		if !l.needs(WayPostRender, WayPostRender3) {
			r.Outside3 = once(r.Outside3, l.Raw)
		}
		if !l.needs(WayPostRender, WayPostRender4) {
			r.Outside4 = once(r.Outside4, l.Raw)
		}
	}
	if c.any(WayKustomize) && o.OutputDir != "" {
		r.Kustomize = c.kustomizeApply(o)
	}
	if len(r.Outside3)+len(r.Outside4) == 0 && !c.postRendered() {
		return
	}
	if c.breaks4 != "" {
		r.Warnings = append(r.Warnings, record.Printable("Helm 4 cannot hand "+c.breaks4+" to a post-renderer: a List with anchors"))
	}
	if c.unbuildable != "" {
		r.Warnings = append(r.Warnings, record.Printable("no folder for kustomize: "+c.unbuildable))
	}
}

// once adds s to a list that lacks it.
func once(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// clip shortens a text for a line of a report.
func clip(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// Seen lists, for each chart, the references as they are written in its render.
func Seen(charts []*Chart) []map[string]string {
	var all []map[string]string
	for _, c := range charts {
		all = append(all, c.seen)
	}
	return all
}

// Incomplete collects what values could not move, over all charts, and what they do
// besides.
func Incomplete(charts []*Chart, o Options) error {
	more := &fault.IncompleteError{
		Summary: "the values do more here than move references:",
		Advice:  "see whether that is wanted; the chart does so when its registry is set",
	}
	for _, c := range charts {
		more.Items = append(more.Items, c.altered()...)
	}
	if len(more.Items) == 0 {
		return left(charts, o)
	}
	return fault.Both(left(charts, o), more)
}

func left(charts []*Chart, o Options) error {
	e := &fault.IncompleteError{Summary: "these references still point outside, or cannot be pulled:"}
	var ways []string
	for _, c := range charts {
		for _, l := range c.Left {
			item := fmt.Sprintf("%s: %s: %s", l.Raw, l.Where(), l.Reason)
			switch {
			case len(l.Needs) > 0:
				item += "; moved by " + strings.Join(l.Needs, ", ")
			case l.Target != "":
				item += "; no way moves it"
			}
			e.Items = append(e.Items, item)
			ways = append(ways, l.Needs...)
		}
	}
	if len(e.Items) == 0 {
		return nil
	}
	e.Advice = advice(ways, o)
	return e
}

// advice says where the ways are that move something.
func advice(ways []string, o Options) string {
	if len(ways) > 0 && o.OutputDir == "" {
		return "`bundle import` emits what moves them besides values"
	}
	var lines []string
	for _, a := range []struct {
		is   string
		text string
	}{
		{WayPostRender, "the command above, with rewrite.map for `bundle postrender`"},
		{WayKustomize, "kustomize/, for `kubectl apply -k`"},
		{WayMirror, "nodes/, for the container runtime of each node"},
	} {
		if slices.ContainsFunc(ways, func(w string) bool { return strings.HasPrefix(w, a.is) }) {
			lines = append(lines, a.text)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	are := "are"
	if o.DryRun {
		are = "would be"
	}
	return "besides values there " + are + ", in the output folder:\n" + strings.Join(lines, "\n")
}
