package emit

import (
	"fmt"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
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

	Named   []string `json:"named,omitempty"`   // settings that still name a source registry, but pull nothing by it
	Changed []string `json:"changed,omitempty"` // what else the values change, besides references
	Renders int      `json:"renders"`
	Helm    string   `json:"helm"` // the command that installs it

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
	Needs  []string `json:"needs,omitempty"`  // what can move it all the same, see the Way constants
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
	}
	if c.beside {
		r.Target = ""
	}
	for _, n := range c.result.Named {
		if n.Reads == n.Raw {
			r.Named = append(r.Named, fmt.Sprintf("%s: %s", n.Raw, source.Finding(c.Record, n.Finding, nil).Where()))
		}
	}
	for _, ch := range c.result.Changed {
		r.Changed = append(r.Changed, record.Printable(fmt.Sprintf("%s: %s %s: %q becomes %q", ch.Template, ch.Kind, ch.Path, clip(ch.Before), clip(ch.After))))
	}
	if o.PullSecret != "" {
		r.Secrets = len(c.result.Secrets)
		r.Kubectl = "kubectl create secret docker-registry " + shellQuote(o.PullSecret) + " --namespace " + shellQuote(c.Record.Namespace) +
			" --docker-server=" + shellQuote(o.Registry.Host) + " --docker-username=USER --docker-password=PASSWORD"
		for _, l := range c.result.SecretsLeft {
			r.SecretsLeft = append(r.SecretsLeft, record.Printable(fmt.Sprintf("%s: %s %s: %s", l.Template, l.Kind, l.Name, l.Reason)))
		}
	}
	return r
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

// Incomplete collects what values could not move, over all charts.
func Incomplete(charts []*Chart, advice string) error {
	e := &fault.IncompleteError{
		Summary: "these references still point outside, or cannot be pulled:",
		Advice:  advice,
	}
	for _, c := range charts {
		for _, l := range c.Left {
			item := fmt.Sprintf("%s: %s: %s", l.Raw, l.Where(), l.Reason)
			if len(l.Needs) > 0 {
				item += "; moved by " + strings.Join(l.Needs, ", ")
			}
			e.Items = append(e.Items, item)
		}
	}
	if len(e.Items) == 0 {
		return nil
	}
	return e
}
