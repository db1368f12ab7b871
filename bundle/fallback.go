package bundle

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/chart"
)

// What can move a reference that values do not.
const (
	WayPostRender = "post-renderer" // bundle postrender, between Helm and the cluster
	WayKustomize  = "kustomize"     // an images: transformer
	WayMirror     = "mirror"        // configuration of the nodes' container runtime
)

// podImage matches the image fields that an images: transformer knows.
var podImage = regexp.MustCompile(`(^|\.)(containers|initContainers|ephemeralContainers)\[[^\]]+\]\.image$`)

// ways says what moves a reference at f. Helm v3 hands no hooks to a
// post-renderer; a transformer knows the containers of pods alone; a mirror
// serves whatever the nodes pull, but nothing that a program pulls by itself.
func ways(f chart.Finding, hook bool) []string {
	var w []string
	if !hook {
		w = append(w, WayPostRender)
	}
	if podImage.MatchString(f.Path) {
		w = append(w, WayKustomize)
	}
	return append(w, WayMirror)
}

// rewrites maps every reference of the chart, as written, to its target.
func (c *relocated) rewrites() RewriteMap {
	m := make(RewriteMap)
	add := func(f chart.Finding) {
		if f.Confidence != chart.Placeholder && f.Raw != "" {
			m[f.Raw] = c.naming.target(f.Raw)
		}
	}
	for _, x := range c.result.Moved {
		add(x.Finding)
	}
	for _, x := range c.result.Left {
		add(x.Finding)
	}
	return m
}

// rewriteFile is the map for `bundle postrender`, with how to use it.
func (c *relocated) rewriteFile() []byte {
	head := fmt.Sprintf(`# References of %s, old and new, for what values cannot move:
#   helm install … --post-renderer bundle --post-renderer-args postrender --post-renderer-args --map=FILE
# Helm v3 does not hand hooks to post-renderers.
`, c.record.label())
	return append([]byte(head), c.rewrites().Format()...)
}

// kustomization is a folder for `kubectl kustomize`: the chart rendered with
// the emitted values, references outside of pods rewritten, and a transformer
// for those inside.
func (c *relocated) kustomization() (map[string][]byte, error) {
	type imageRule struct {
		Name    string `json:"name"`
		NewName string `json:"newName"`
		NewTag  string `json:"newTag,omitempty"`
		Digest  string `json:"digest,omitempty"`
	}
	var rules []imageRule
	rewrites := c.rewrites()
	for _, old := range sortedKeys(rewrites) {
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
	head := "# The images of " + c.record.label() + ", for `kubectl kustomize` or `kubectl apply -k`.\n" +
		"# all.yaml is the chart rendered with values.yaml; hooks stand in it as ordinary resources.\n"
	return map[string][]byte{
		"kustomization.yaml": append([]byte(head), b...),
		"all.yaml":           c.manifests(),
	}, nil
}

// manifests is the render as one stream, rewritten, without what only helm
// test runs.
func (c *relocated) manifests() []byte {
	rewrites := c.rewrites()
	var b bytes.Buffer
	for i := range c.output.Manifests {
		m := &c.output.Manifests[i]
		if !m.Test() {
			fmt.Fprintf(&b, "---\n# Source: %s\n%s\n", printable(m.Template), bytes.TrimSpace(rewrites.Rewrite([]byte(m.Raw))))
		}
	}
	return b.Bytes()
}

// resources is the render with one file for each resource, for GitOps.
func (c *relocated) resources() map[string][]byte {
	rewrites := c.rewrites()
	files := make(map[string][]byte)
	next := make(map[string]int) // number of the next file with this name
	for i := range c.output.Manifests {
		m := &c.output.Manifests[i]
		if m.Test() {
			continue
		}
		base := orDefault(fileName(m.Kind, m.Namespace, m.Name), "manifest")
		name := base + ".yaml"
		for files[name] != nil {
			next[base] = max(next[base]+1, 2)
			name = fmt.Sprintf("%s-%d.yaml", base, next[base])
		}
		text := bytes.TrimSpace(rewrites.Rewrite([]byte(m.Raw)))
		files[name] = append(append([]byte("# Source: "+printable(m.Template)+"\n"), text...), '\n')
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
	name := strings.TrimLeft(strings.Join(words, "-"), ".")
	return name[:min(len(name), maxName)] // ASCII by now
}

// cutReference parts a reference as written into name, tag and digest.
func cutReference(s string) (name, tag, pin string) {
	name, pin, _ = strings.Cut(s, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i+1:]
	}
	return name, tag, pin
}

// mirrors is configuration for container runtimes: whatever a node pulls from
// one of the source registries comes from the target instead.
func (o *ImportOptions) mirrors(rec *Record) map[string][]byte {
	hosts := make(map[string]bool)
	for _, im := range rec.Images {
		if ref, err := ParseReference(im.Reference); err == nil {
			hosts[ref.Host] = true
		}
	}
	plain := slices.Contains(o.RegistryOptions.PlainHTTP, o.Registry.Host)
	insecure := slices.Contains(o.RegistryOptions.InsecureSkipTLS, o.Registry.Host)
	files := make(map[string][]byte)
	for host := range hosts {
		prefix := o.Registry.Prefix
		if o.KeepRegistryHost {
			prefix = path.Join(prefix, strings.ReplaceAll(host, ":", "-"))
		}
		files[path.Join("nodes/containerd/certs.d", host, "hosts.toml")] = hostsTOML(o.Registry.Host, prefix, plain, insecure)
		files["nodes/registries.conf.d/50-"+fileName(host)+".conf"] = registriesConf(host, path.Join(o.Registry.Host, prefix), plain || insecure)
	}
	return files
}

// hostsTOML is containerd's configuration for one source registry (containerd,
// docs/hosts.md); the folder's name says which.
func hostsTOML(host, prefix string, plain, insecure bool) []byte {
	scheme := "https"
	if plain {
		scheme = "http"
	}
	var b bytes.Buffer
	if prefix == "" {
		fmt.Fprintf(&b, "[host.%q]\n", scheme+"://"+host)
	} else {
		fmt.Fprintf(&b, "[host.%q]\n", scheme+"://"+host+"/v2/"+prefix)
	}
	b.WriteString("  capabilities = [\"pull\", \"resolve\"]\n")
	if prefix != "" {
		b.WriteString("  override_path = true\n")
	}
	if insecure {
		b.WriteString("  skip_verify = true\n")
	}
	return b.Bytes()
}

// registriesConf is the same for CRI-O and Podman
// (containers-registries.conf(5)).
func registriesConf(source, location string, insecure bool) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "[[registry]]\nprefix = %q\nlocation = %q\n\n[[registry.mirror]]\nlocation = %q\n", source, source, location)
	if insecure {
		b.WriteString("insecure = true\n")
	}
	return b.Bytes()
}
