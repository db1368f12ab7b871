package emit

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
)

// kustomization is a folder for `kubectl kustomize`: the chart rendered with
// the emitted values, references outside of pods rewritten, and a transformer
// for those inside.
func (c *Chart) kustomization() (map[string][]byte, error) {
	type imageRule struct {
		Name    string `json:"name"`
		NewName string `json:"newName"`
		NewTag  string `json:"newTag,omitempty"`
		Digest  string `json:"digest,omitempty"`
	}
	var rules []imageRule
	rewrites := c.rewrites()
	for _, old := range slices.Sorted(maps.Keys(rewrites)) {
		name, tag, pin := cutReference(old)
		newName, newTag, newPin := cutReference(rewrites[old])
		r := imageRule{Name: name, NewName: newName}
		if pin != newPin {
			r.Digest = newPin
		} else if tag != newTag && newPin == "" {
			r.NewTag = newTag
		}
		if !slices.Contains(rules, r) {
			rules = append(rules, r)
		}
	}
	b, err := yaml.Marshal(map[string]any{
		"apiVersion": "kustomize.config.k8s.io/v1beta1",
		"kind":       "Kustomization",
		"resources":  []string{"all.yaml"},
		"images":     rules,
	})
	if err != nil {
		return nil, fmt.Errorf("kustomization: %w", err)
	}
	head := "# The images of " + c.Record.Label() + ", for `kubectl kustomize` or `kubectl apply -k`.\n" +
		"# all.yaml is the chart rendered with values.yaml; hooks stand in it as ordinary resources.\n"
	return map[string][]byte{
		"kustomization.yaml": append([]byte(head), b...),
		"all.yaml":           c.manifests(),
	}, nil
}

// manifests is the render as one stream, rewritten, without what only helm
// test runs.
func (c *Chart) manifests() []byte {
	rewrites := c.rewrites()
	var b bytes.Buffer
	for i := range c.output.Manifests {
		m := &c.output.Manifests[i]
		if !m.Test() {
			fmt.Fprintf(&b, "---\n# Source: %s\n%s\n", record.Printable(m.Template), bytes.TrimSpace(rewrites.Rewrite([]byte(m.Raw))))
		}
	}
	return b.Bytes()
}

// resources is the render with one file for each resource, for GitOps.
func (c *Chart) resources() map[string][]byte {
	rewrites := c.rewrites()
	files := make(map[string][]byte)
	next := make(map[string]int) // number of the next file with this name
	for i := range c.output.Manifests {
		m := &c.output.Manifests[i]
		if m.Test() {
			continue
		}
		base := cmp.Or(fileName(m.Kind, m.Namespace, m.Name), "manifest")
		name := base + ".yaml"
		for files[name] != nil {
			next[base] = max(next[base]+1, 2)
			name = fmt.Sprintf("%s-%d.yaml", base, next[base])
		}
		text := bytes.TrimSpace(rewrites.Rewrite([]byte(m.Raw)))
		files[name] = append(append([]byte("# Source: "+record.Printable(m.Template)+"\n"), text...), '\n')
	}
	return files
}

// fileName joins what is there, in characters and a length that every file
// system takes.
func fileName(parts ...string) string {
	safe := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}
	var words []string
	for _, p := range parts {
		if p != "" {
			words = append(words, strings.Map(safe, strings.ToLower(p)))
		}
	}
	joined := strings.TrimLeft(strings.Join(words, "-"), ".")
	return joined[:min(len(joined), name.MaxLength)] // ASCII by now
}

// cutReference parts a reference as written into name, tag and digest.
func cutReference(s string) (name, tag, pin string) {
	name, pin, _ = strings.Cut(s, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i+1:]
	}
	return name, tag, pin
}
