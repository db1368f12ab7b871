package relocate

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// FormatYAML writes the overrides of a result as a values file: keys sorted,
// above each the references that it moves. The lines of header stand on top as
// a comment: which chart and version, which registry, how to use the file.
func FormatYAML(r *Result, header []string) []byte {
	var out bytes.Buffer
	for _, line := range header {
		out.WriteString(strings.TrimRight("# "+line, " ") + "\n")
	}
	if len(r.Overrides) == 0 {
		out.WriteString("{}\n")
		return out.Bytes()
	}
	if len(header) > 0 {
		out.WriteString("\n")
	}
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(yamlNode(nil, r.Overrides, comments(r))); err != nil {
		// Overrides are maps, lists and scalars that came out of YAML.
		panic(fmt.Sprintf("relocate: values do not encode: %v", err))
	}
	return out.Bytes()
}

// comments says for each key what it is there for; for a path through a list,
// at the key of the list.
func comments(r *Result) map[string]string {
	lines := map[string][]string{}
	for _, m := range r.Moved {
		for _, key := range m.Keys {
			key, _, _ = strings.Cut(key, "[")
			if !slices.Contains(lines[key], m.Raw) {
				lines[key] = append(lines[key], m.Raw)
			}
		}
	}
	for _, n := range r.Named {
		for _, key := range n.Keys {
			if key, _, _ = strings.Cut(key, "["); !slices.Contains(lines[key], n.Raw) {
				lines[key] = append(lines[key], n.Raw)
			}
		}
	}
	all := map[string]string{}
	for key, raws := range lines {
		slices.Sort(raws)
		all[key] = strings.Join(raws, "\n")
	}
	for _, key := range r.Unlocked {
		all[key] = "The chart refuses other images otherwise."
	}
	for _, key := range r.SecretKeys {
		key, _, _ = strings.Cut(key, "[")
		all[key] = strings.TrimPrefix(all[key]+"\n"+"The pull secret.", "\n")
	}
	return all
}

// yamlNode turns a value into a node, with comments above its keys.
func yamlNode(p path, v any, comments map[string]string) *yaml.Node {
	switch v := v.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode}
		if len(v) == 0 {
			n.Style = yaml.FlowStyle
		}
		for _, k := range sortedKeys(v) {
			at := p.join(k)
			key := scalar(at, k)
			key.HeadComment = comments[at.String()]
			n.Content = append(n.Content, key, yamlNode(at, v[k], comments))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		if len(v) == 0 {
			n.Style = yaml.FlowStyle
		}
		for i, e := range v {
			n.Content = append(n.Content, yamlNode(p.join(i), e, comments))
		}
		return n
	}
	if f, ok := v.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		v = int64(f) // Helm reads every number as a float
	}
	return scalar(p, v)
}

// scalar encodes one scalar. Unlike a node made by hand, it is quoted where an
// older YAML reader would take it for something else: on, n, 1.10.
func scalar(p path, v any) *yaml.Node {
	n := &yaml.Node{}
	if err := n.Encode(v); err != nil {
		panic(fmt.Sprintf("relocate: value at %s: %v", p, err))
	}
	return n
}
