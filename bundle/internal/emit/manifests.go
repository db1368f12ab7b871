package emit

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
)

// An imageRule is one of kustomize's images.
type imageRule struct {
	Name    string `json:"name"`
	NewName string `json:"newName"`
	NewTag  string `json:"newTag,omitempty"`
	Digest  string `json:"digest,omitempty"`
}

// imageRules are the rules that turn references into their targets.
func (c *Chart) imageRules(lines map[string]string) (rules []imageRule) {
	for _, old := range slices.Sorted(maps.Keys(lines)) {
		repository, tag, pin := name.Cut(old)
		newRepository, newTag, newPin := name.Cut(lines[old])
		r := imageRule{Name: repository, NewName: newRepository}
		if pin != newPin {
			r.Digest = newPin
		} else if tag != newTag && newPin == "" {
			r.NewTag = newTag
		}
		if !slices.Contains(rules, r) {
			rules = append(rules, r)
		}
	}
	return rules
}

// kustomization is a folder for `kubectl kustomize`: the chart rendered with
// the emitted values and rewritten, and a transformer for renders made elsewhere.
func (c *Chart) kustomization() (map[string]disk.File, error) {
	k := object{
		"apiVersion": "kustomize.config.k8s.io/v1beta1",
		"kind":       "Kustomization",
		"resources":  []string{"all.yaml"},
	}
	if rules := c.imageRules(c.references()); rules != nil {
		k["images"] = rules
	}
	b, err := yaml.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("kustomization: %w", err)
	}
	head := "# The images of " + c.Record.Label() + ", for `kubectl kustomize` or `kubectl apply -k`.\n" +
		"# all.yaml is the chart rendered with values.yaml; hooks stand in it as ordinary resources.\n"
	all, private := c.manifests()
	return map[string]disk.File{
		"kustomization.yaml": {Content: append([]byte(head), b...)},
		"all.yaml":           {Content: all, Private: private},
	}, nil
}

// installs tells whether a manifest is there when the chart is installed, and not only
// for helm test or on another occasion.
func installs(m *chart.Manifest) bool { return !m.Test() && m.When == chart.Always }

// manifests is the render as one stream, rewritten, without what only helm
// test runs; private tells whether it holds what is for the user's own eyes.
func (c *Chart) manifests() (all []byte, private bool) {
	var b bytes.Buffer
	for i := range c.rewritten.Manifests {
		if m := &c.rewritten.Manifests[i]; installs(m) {
			private = private || c.private(m)
			fmt.Fprintf(&b, "---\n# Source: %s\n%s\n", record.Printable(m.Template), strings.TrimSpace(m.Raw))
		}
	}
	return b.Bytes(), private
}

// private tells whether a manifest may hold what the user gave, or what is secret
// by its nature.
func (c *Chart) private(m *chart.Manifest) bool {
	return len(c.Record.Values) > 0 || m.Kind == "Secret" || strings.HasSuffix(m.Kind, "List")
}

// resources is the render with one file for each resource, for GitOps.
func (c *Chart) resources(omit Secrets) map[string]disk.File {
	files := make(map[string]disk.File)
	next := make(map[string]int) // number of the next file with this name
	for i := range c.rewritten.Manifests {
		m := &c.rewritten.Manifests[i]
		if !installs(m) || c.omitted(m, omit) {
			continue
		}
		base := cmp.Or(fileName(m.Kind, m.Namespace, m.Name), "manifest")
		name := base + ".yaml"
		for files[name].Content != nil {
			next[base] = max(next[base]+1, 2)
			name = fmt.Sprintf("%s-%d.yaml", base, next[base])
		}
		text := fmt.Sprintf("# Source: %s\n%s\n", record.Printable(m.Template), strings.TrimSpace(m.Raw))
		files[name] = disk.File{Content: []byte(text), Private: c.private(m)}
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
