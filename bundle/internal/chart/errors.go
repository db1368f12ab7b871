package chart

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"helm.sh/helm/v3/pkg/chartutil"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/lazy"
)

// ErrLibrary is wrapped by the error of rendering a library chart.
var ErrLibrary = errors.New("a library chart has nothing to render: use a chart that depends on it")

// RenderError says why a chart does not render.
type RenderError struct {
	Chart    string
	Template string   // chart/templates/x.yaml, empty when no single template is to blame
	Line     int      // in Template, 0 when not known
	Message  string   // what the chart or Helm says, without Helm's prefixes
	Value    string   // the values path that the error names, from the root chart, without ".Values."; often empty
	Err      error    // the error as Helm returned it
	Also     []Demand // what else the chart asks for, see [Chart.Demands]
}

// Error leaves the name of the chart to those who know its version.
func (e *RenderError) Error() string {
	var b strings.Builder
	b.WriteString("does not render")
	if e.Template != "" {
		fmt.Fprintf(&b, ": %s", e.Template)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
	}
	fmt.Fprintf(&b, ": %s", e.Message)
	if len(e.Also) > 0 {
		b.WriteString("\n  it asks for more:")
	}
	for _, d := range e.Also {
		fmt.Fprintf(&b, "\n    %s: %s", d.Template, strings.ReplaceAll(d.Message, "\n", "\n      "))
	}
	return b.String()
}

func (e *RenderError) Unwrap() error { return e.Err }

// Fault names what a chart may want to be told.
func (e *RenderError) Fault() (fault.Kind, string) {
	cluster := "say what the isolated cluster is like with --kube-version VERSION and --api-versions API"
	switch {
	case errors.Is(e.Err, ErrLibrary):
		return fault.Failed, ""
	case e.Template == "" && e.Err == nil: // not a word of the chart's
		return fault.Failed, cluster
	case len(e.named()) == 1 && len(e.Also) == 0:
		return fault.Failed, fmt.Sprintf("give it a value with --set %s=VALUE or -f FILE\n%s", e.Value, cluster)
	case len(e.named()) > 0:
		return fault.Failed, fmt.Sprintf("give it values with -f FILE, or with --set %s=VALUE\n%s", strings.Join(e.named(), "=VALUE --set "), cluster)
	}
	return fault.Failed, "values that it wants are given with -f FILE or --set KEY=VALUE\n" + cluster
}

// named are the values paths that the error names, each once.
func (e *RenderError) named() (all []string) {
	for _, d := range append([]Demand{{Value: e.Value}}, e.Also...) {
		if d.Value != "" && !slices.Contains(all, d.Value) {
			all = append(all, d.Value)
		}
	}
	return all
}

// Listed returns everything that the chart asks for.
func (e *RenderError) Listed() []fault.Item {
	all := []fault.Item{{Subject: e.Value, State: "missing", Reason: e.Message, Where: e.Template}}
	for _, d := range e.Also {
		all = append(all, fault.Item{Subject: d.Value, State: "missing", Reason: d.Message, Where: d.Template})
	}
	return all
}

// MissingDependency is a dependency that Chart.yaml declares, charts/ lacks
// and that could not be fetched.
type MissingDependency struct {
	Name, Version string
	Repository    string // as Chart.yaml writes it
	Err           error  // why it could not be fetched
}

// DependencyError lists every dependency that a chart lacks. Helm refuses such
// a chart even where values disable the dependency.
type DependencyError struct {
	Chart   string
	Missing []MissingDependency
}

func (e *DependencyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "chart %s lacks %d of its dependencies", e.Chart, len(e.Missing))
	for i, m := range e.Missing {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%s %s", sep, m.Name, m.Version)
		if m.Repository != "" {
			fmt.Fprintf(&b, " (%s)", redactRef(m.Repository))
		}
		fmt.Fprintf(&b, ": %v", m.Err)
	}
	return b.String()
}

func (e *DependencyError) Unwrap() []error {
	errs := make([]error, len(e.Missing))
	for i, m := range e.Missing {
		errs[i] = m.Err
	}
	return errs
}

// Helm's engine flattens most errors into text, so their parts can only be had
// from it: "execution error at (file:line:col): message", "parse error at
// (file:line): message", and text/template's own
// "template: file:line:col: executing "name" at <expr>: message".
var (
	helmErrorRE     = lazy.Regexp(`(?s)^(?:execution|parse) error (?:at|in) \(([^():]+)(?::(\d+))?[^)]*\): (.*)$`)
	templateErrorRE = lazy.Regexp(`(?s)^template: ([^\s:]+):(\d+)(?::\d+)?: (?:executing "[^"]*" at <([^>]*)>: )?(.*)$`)
	nestedErrorRE   = lazy.Regexp(`(?s)^error calling \w+: (.*)$`)
	tplErrorRE      = lazy.Regexp(`(?s)^error during tpl function execution for ".*?": (template: .*)$`)
	valuesPathRE    = lazy.Regexp(`\.Values((?:\.[A-Za-z_][A-Za-z0-9_-]*)+)`)
	nilFieldRE      = lazy.Regexp(`nil pointer evaluating [^.]*\.([A-Za-z0-9_]+)$`)
)

// newRenderError takes an error of Helm's engine apart.
func newRenderError(chart string, err error) *RenderError {
	message := err.Error()
	e := &RenderError{Chart: chart, Message: message[:min(len(message), maxErrorText)], Err: err}
	var exec template.ExecError
	if errors.As(err, &exec) {
		e.Template = exec.Name
	}
	if m := helmErrorRE().FindStringSubmatch(e.Message); m != nil {
		e.Template, e.Message = m[1], m[3]
		e.Line, _ = strconv.Atoi(m[2])
	}
	e.unnest()
	e.Message = strings.TrimSpace(e.Message)
	return e
}

// unnest follows the chain of includes down to the innermost template.
func (e *RenderError) unnest() {
	for {
		if m := templateErrorRE().FindStringSubmatch(e.Message); m != nil {
			e.Template, e.Message = m[1], m[4]
			e.Line, _ = strconv.Atoi(m[2])
			e.Value = missingValue(m[3], e.Message)
			if e.Value != "" {
				e.Message += ": ." + "Values." + e.Value + " is not set"
			}
			continue
		}
		if m := nestedErrorRE().FindStringSubmatch(e.Message); m != nil {
			e.Message = m[1]
			continue
		}
		if m := tplErrorRE().FindStringSubmatch(e.Message); m != nil {
			e.Message = m[1]
			continue
		}
		return
	}
}

// plainPathRE matches dotted words in prose.
var plainPathRE = lazy.Regexp(`(?:^|[\s"'` + "`" + `(=])([A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)+)`)

// nameValue completes Value: templates name values relative to their own chart,
// and messages that charts write themselves often name one in prose. That is
// believed when its first step is among the values of the chart.
func (e *RenderError) nameValue(values map[string]any) {
	var prefix []string
	dirs := strings.Split(e.Template, "/")
	for i := 1; i+1 < len(dirs) && dirs[i] == "charts"; i += 2 {
		prefix = append(prefix, dirs[i+1])
	}
	own := values
	for _, p := range prefix {
		own = asMap(own[p])
	}
	if e.Value == "" {
		if m := valuesPathRE().FindStringSubmatch(e.Message); m != nil {
			e.Value = strings.TrimPrefix(m[1], ".")
		}
	}
	if e.Value != "" {
		e.Value = strings.Join(append(prefix, e.Value), ".")
		return
	}
	for _, m := range plainPathRE().FindAllStringSubmatch(e.Message, -1) {
		first, _, _ := strings.Cut(m[1], ".")
		if _, ok := own[first]; ok {
			e.Value = strings.Join(append(prefix, m[1]), ".")
			return
		}
		if _, ok := values[first]; ok {
			e.Value = m[1]
			return
		}
	}
}

func asMap(v any) map[string]any {
	switch m := v.(type) {
	case map[string]any:
		return m
	case chartutil.Values:
		return m
	}
	return nil
}

// missingValue names the values path that a nil pointer error stumbled over:
// the expression up to the field that could not be read from nil.
func missingValue(expr, message string) string {
	field := nilFieldRE().FindStringSubmatch(message)
	path := valuesPathRE().FindStringSubmatch(expr)
	if field == nil || path == nil {
		return ""
	}
	steps := strings.Split(strings.TrimPrefix(path[1], "."), ".")
	for i, s := range steps {
		if s == field[1] && i > 0 {
			return strings.Join(steps[:i], ".")
		}
	}
	return strings.Join(steps, ".")
}
