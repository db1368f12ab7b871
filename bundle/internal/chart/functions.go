package chart

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"text/template"

	"github.com/BurntSushi/toml"
	"github.com/Masterminds/sprig/v3"
	"github.com/gobwas/glob"
	"sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v3"
)

// The functions and the .Files of Helm's engine, which does not hand them out. A
// test compares what both render.

// randomFunctions give another text each time.
var randomFunctions = []string{
	"ago", "bcrypt", "date", "dateInZone", "date_in_zone", "encryptAES", "genCA", "genCAWithKey", "genPrivateKey",
	"genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey", "htmlDate", "htmlDateInZone",
	"htpasswd", "now", "randAlpha", "randAlphaNum", "randAscii", "randBytes", "randInt", "randNumeric", "shuffle", "uuidv4",
}

// changingFunctions change their first argument, a map, by those that follow.
var changingFunctions = []string{"merge", "mergeOverwrite", "mustMerge", "mustMergeOverwrite"}

// functions are those that need not know what is rendered.
func functions() template.FuncMap {
	f := sprig.TxtFuncMap()
	delete(f, "env")
	delete(f, "expandenv")
	maps.Copy(f, template.FuncMap{
		"toToml": toTOML,
		"fromToml": func(s string) map[string]any {
			return orError(func(m *map[string]any) error { return toml.Unmarshal([]byte(s), m) })
		},
		"toYaml":       toYAML,
		"toYamlPretty": toYAMLPretty,
		"fromYaml":     fromYAML,
		"fromYamlArray": func(s string) []any {
			return listOrError(func(l *[]any) error { return yaml.Unmarshal([]byte(s), l) })
		},
		"toJson": toJSON,
		"fromJson": func(s string) map[string]any {
			return orError(func(m *map[string]any) error { return json.Unmarshal([]byte(s), m) })
		},
		"fromJsonArray": func(s string) []any {
			return listOrError(func(l *[]any) error { return json.Unmarshal([]byte(s), l) })
		},
		"getHostByName": func(string) string { return "" },
		// Helm's order is any.
		"keys": func(dicts ...map[string]any) []string {
			all := []string{}
			for _, d := range dicts {
				all = append(all, slices.Sorted(maps.Keys(d))...)
			}
			return all
		},
		"values": func(dict map[string]any) []any {
			all := []any{}
			for _, k := range slices.Sorted(maps.Keys(dict)) {
				all = append(all, dict[k])
			}
			return all
		},
	})
	return f
}

// before returns fn as a function that calls f with the arguments first.
func before(fn any, f func(args []reflect.Value)) any {
	v := reflect.ValueOf(fn)
	return reflect.MakeFunc(v.Type(), func(args []reflect.Value) []reflect.Value {
		f(args)
		if v.Type().IsVariadic() {
			return v.CallSlice(args)
		}
		return v.Call(args)
	}).Interface()
}

func fromYAML(s string) map[string]any {
	return orError(func(m *map[string]any) error { return yaml.Unmarshal([]byte(s), m) })
}

func orError(read func(*map[string]any) error) map[string]any {
	m := map[string]any{}
	if err := read(&m); err != nil {
		m["Error"] = err.Error()
	}
	return m
}

func listOrError(read func(*[]any) error) []any {
	l := []any{}
	if err := read(&l); err != nil {
		return []any{err.Error()}
	}
	return l
}

func toYAML(v any) string {
	b, err := yaml.Marshal(v)
	if err != nil {
		return "" // as Helm does
	}
	return strings.TrimSuffix(string(b), "\n")
}

func toYAMLPretty(v any) string {
	var b bytes.Buffer
	e := goyaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func toTOML(v any) string {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(v); err != nil {
		return err.Error()
	}
	return b.String()
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// chartFiles is what templates see as .Files.
type chartFiles map[string][]byte

func (f chartFiles) GetBytes(name string) []byte {
	if b, ok := f[name]; ok {
		return b
	}
	return []byte{}
}

func (f chartFiles) Get(name string) string { return string(f.GetBytes(name)) }

func (f chartFiles) Glob(pattern string) chartFiles {
	g, err := glob.Compile(pattern, '/')
	if err != nil {
		g, _ = glob.Compile("**")
	}
	found := chartFiles{}
	for name, b := range f {
		if g.Match(name) {
			found[name] = b
		}
	}
	return found
}

func (f chartFiles) AsConfig() string {
	return f.byBase(func(b []byte) string { return string(b) })
}

func (f chartFiles) AsSecrets() string {
	return f.byBase(base64.StdEncoding.EncodeToString)
}

func (f chartFiles) byBase(text func([]byte) string) string {
	if f == nil {
		return ""
	}
	m := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(f)) { // Helm's order is any
		m[path.Base(name)] = text(f[name])
	}
	return toYAML(m)
}

func (f chartFiles) Lines(name string) []string {
	if len(f[name]) == 0 {
		return []string{}
	}
	return strings.Split(strings.TrimSuffix(string(f[name]), "\n"), "\n")
}

// hash: the files of a chart never change.
func (f chartFiles) hash() uint64 { return uint64(reflect.ValueOf(f).Pointer()) }
