package chart

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/fault"
)

// ValuesFile is a values file that the user gave; Name is used in errors.
type ValuesFile struct {
	Name string
	Data []byte
}

// ValueSources are the user's values in the forms that Helm's command line
// takes them.
type ValueSources struct {
	Base    map[string]any // below all others, with the types it has
	Files   []ValuesFile   // -f, later wins
	JSON    []string       // --set-json
	Set     []string       // --set
	String  []string       // --set-string
	File    []string       // --set-file key=path
	Literal []string       // --set-literal
}

// MergeValues merges values as Helm does: files in order, then --set-json,
// --set, --set-string, --set-file and --set-literal. Maps are merged, anything
// else is replaced; a null stays a null, which deletes the chart's key when
// the chart is rendered.
func MergeValues(s ValueSources) (map[string]any, error) {
	values := copyMap(s.Base)
	if values == nil {
		values = map[string]any{}
	}
	for _, f := range s.Files {
		var m map[string]any
		if err := yaml.Unmarshal(f.Data, &m); err != nil {
			return nil, fault.Input("values file "+f.Name, notValues(f.Data, err), "want keys and their values in YAML or JSON, as helm's -f")
		}
		values = Merge(values, m)
	}
	readFile := func(path []rune) (any, error) {
		b, err := os.ReadFile(string(path))
		return string(b), err
	}
	steps := []struct {
		flag  string
		given []string
		parse func(string, map[string]any) error
	}{
		{"--set-json", s.JSON, strvals.ParseJSON},
		{"--set", s.Set, strvals.ParseInto},
		{"--set-string", s.String, strvals.ParseIntoString},
		{"--set-file", s.File, func(v string, m map[string]any) error {
			return strvals.ParseIntoFile(v, m, readFile)
		}},
		{"--set-literal", s.Literal, strvals.ParseLiteralInto},
	}
	for _, step := range steps {
		for _, v := range step.given {
			if err := step.parse(v, values); err != nil {
				if step.flag == "--set-file" {
					return nil, fault.Input(step.flag+" "+v, err, "")
				}
				// The value may be a secret, and so may be what the parser says of it.
				key, _, _ := strings.Cut(v, "=")
				return nil, &fault.UsageError{
					What:   fmt.Sprintf("%s %s: not KEY=VALUE as helm takes it", step.flag, key),
					Advice: "in a value, commas and braces need a backslash before them",
				}
			}
		}
	}
	return values, nil
}

// MergeOnto lays -f, --set and --set-string over base, as helm does. exact are
// values of base that its text would change, see record.ExactIntegers: whatever is laid
// over it counts more.
func MergeOnto(base map[string]any, exact []string, files []ValuesFile, set, setString []string) (map[string]any, error) {
	given := ValueSources{Set: exact}
	if len(base) > 0 {
		// Through text, as helm will read it on the other side.
		b, err := yaml.Marshal(base)
		if err != nil {
			return nil, fmt.Errorf("given values: %w", err)
		}
		given.Files = []ValuesFile{{Name: "given values", Data: b}}
	}
	below, err := MergeValues(given)
	if err != nil {
		return nil, err
	}
	return MergeValues(ValueSources{Base: below, Files: files, Set: set, String: setString})
}

// Merge lays b over a, as helm does with several values files: maps are merged,
// all else is replaced. The result shares nothing with either.
func Merge(a, b map[string]any) map[string]any {
	out := make(map[string]any, len(a)+len(b))
	for k, v := range a {
		if _, isMap := v.(map[string]any); !isMap || b[k] == nil {
			out[k] = Clone(v)
		}
	}
	for k, v := range b {
		bm, ok := v.(map[string]any)
		am, also := a[k].(map[string]any)
		if ok && also {
			out[k] = Merge(am, bm)
		} else {
			out[k] = Clone(v)
		}
	}
	return out
}

// Clone copies maps and lists of a value, at every depth.
func Clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return copyMap(v)
	case []any:
		if v == nil {
			return v
		}
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = Clone(e)
		}
		return l
	default:
		return v
	}
}

func copyMap(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	c := make(map[string]any, len(m))
	for k, v := range m {
		c[k] = Clone(v)
	}
	return c
}

// notValues says of text that is no map of values what it is, where that is known: what
// the decoder says speaks of Go.
func notValues(b []byte, err error) error {
	var v any
	if yaml.Unmarshal(b, &v) != nil {
		if inner := errors.Unwrap(err); inner != nil { // what the library says of itself
			return inner
		}
		return err
	}
	switch v.(type) {
	case []any:
		return errors.New("it holds a list")
	case map[string]any:
		return err
	}
	return errors.New("it holds plain text")
}
