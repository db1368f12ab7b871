package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	yaml "gopkg.in/yaml.v3"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/input"
)

// A Config is the content of an export's configuration file: what --config
// takes. A list of images alone, as source and destination pairs, is the
// widespread mirror.yaml. A manifest of hauler and a package definition of zarf
// are taken too, as far as they mean the same.
//
//	charts:
//	  - chart: oci://ghcr.io/acme/charts/operator
//	    version: 2.7.0
//	    values: [site.yaml]
//	images:
//	  - ghcr.io/acme/tool:1.0
//	  - oci:saved/tool:1.0
//	  - source: docker.io/library/nginx:1.27
//	    destination: registry.plant.local/web/nginx:1.27
//	platforms: [linux/amd64]
type Config struct {
	Charts    []ChartSpec
	Images    []ImageSpec
	Platforms []image.Platform
	NotTaken  []string // what a list of another tool has besides, and a bundle does not carry
}

// maxConfig bounds a configuration file or a list of images, in bytes.
const maxConfig = 16 << 20

// LoadConfig reads a configuration file. Paths in it are relative to its
// folder.
func LoadConfig(ctx context.Context, path string) (*Config, error) {
	b, err := input.File(ctx, path, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, err := parseConfig(b, path)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	for i := range c.Charts {
		spec := &c.Charts[i]
		for j, f := range spec.ValueFiles {
			spec.ValueFiles[j] = under(dir, f)
		}
		if spec.Repo == "" {
			spec.Ref = chartUnder(dir, spec.Ref)
		}
	}
	for i := range c.Images {
		c.Images[i].Source = fileUnder(dir, c.Images[i].Source)
	}
	return c, nil
}

// aliased matches ALIAS/NAME, as helm writes a chart of a repository that the user
// added.
var aliased = regexp.MustCompile(`^[^./\\][^/\\]*/[^/\\]+$`)

// chartUnder is a chart that a file in dir names: a path, unless it is a URL, or
// can only be one of a repository that the user added.
func chartUnder(dir, ref string) string {
	path := under(dir, ref)
	if strings.Contains(ref, "://") || aliased.MatchString(ref) && !exists(path) && !exists(ref) {
		return ref
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func under(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// parseConfig reads the text of a configuration file; name stands in errors,
// which are *ConfigError and tell the line. Unknown keys are errors.
func parseConfig(b []byte, name string) (*Config, error) {
	if c, foreign, err := parseForeign(b, name); foreign || err != nil {
		return c, err
	}
	p := configParser{name}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, &fault.ConfigError{File: name, What: err.Error()}
	}
	if len(doc.Content) == 0 {
		return nil, p.fail(&doc, "empty")
	}
	c := new(Config)
	err := p.mapping(doc.Content[0], map[string]func(*yaml.Node) error{
		"charts": p.each(func(n *yaml.Node) error {
			spec, err := p.chart(n)
			c.Charts = append(c.Charts, spec)
			return err
		}),
		"images": p.each(func(n *yaml.Node) error {
			spec, err := p.image(n)
			c.Images = append(c.Images, spec)
			return err
		}),
		"platforms": p.each(func(n *yaml.Node) error {
			s, err := p.text(n)
			if err != nil {
				return err
			}
			platform, err := image.ParsePlatform(s)
			if err != nil {
				return p.fail(n, "%v", err)
			}
			c.Platforms = append(c.Platforms, platform)
			return nil
		}),
	})
	if err == nil && len(c.Charts) == 0 && len(c.Images) == 0 {
		err = p.fail(doc.Content[0], "neither charts nor images")
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// A configParser walks YAML nodes, since only they know their lines.
type configParser struct{ name string }

func (p configParser) fail(n *yaml.Node, format string, args ...any) error {
	return &fault.ConfigError{File: p.name, Line: n.Line, What: fmt.Sprintf(format, args...)}
}

// mapping calls the function of each key.
func (p configParser) mapping(n *yaml.Node, keys map[string]func(*yaml.Node) error) error {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		return p.fail(n, "want a mapping with %s", strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f, ok := keys[key.Value]
		switch {
		case !ok:
			return p.fail(key, "unknown key %q: want %s", key.Value, strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
		case seen[key.Value]:
			return p.fail(key, "key %q stands twice", key.Value)
		}
		seen[key.Value] = true
		if err := f(resolve(value)); err != nil {
			return err
		}
	}
	return nil
}

// resolve follows an alias to its anchor.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func (p configParser) each(f func(*yaml.Node) error) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode {
			return p.fail(n, "want a list")
		}
		for _, item := range n.Content {
			if err := f(resolve(item)); err != nil {
				return err
			}
		}
		return nil
	}
}

// text takes a scalar as it is written: version: 1.10 is "1.10".
func (p configParser) text(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
		return "", p.fail(n, "want a text")
	}
	return n.Value, nil
}

func (p configParser) into(s *string) func(*yaml.Node) error {
	return func(n *yaml.Node) (err error) {
		*s, err = p.text(n)
		return err
	}
}

func (p configParser) intoList(list *[]string) func(*yaml.Node) error {
	return p.each(func(n *yaml.Node) error {
		s, err := p.text(n)
		*list = append(*list, s)
		return err
	})
}

func (p configParser) chart(n *yaml.Node) (spec ChartSpec, err error) {
	err = p.mapping(n, map[string]func(*yaml.Node) error{
		"chart":       p.into(&spec.Ref),
		"repo":        p.into(&spec.Repo),
		"version":     p.into(&spec.Version),
		"release":     p.into(&spec.Release),
		"namespace":   p.into(&spec.Namespace),
		"kubeVersion": p.into(&spec.KubeVersion),
		"apiVersions": p.intoList(&spec.APIVersions),
		"set":         p.intoList(&spec.Set),
		"values": func(n *yaml.Node) error {
			switch n.Kind {
			case yaml.SequenceNode:
				return p.intoList(&spec.ValueFiles)(n)
			case yaml.MappingNode:
				return n.Decode(&spec.Values)
			}
			return p.fail(n, "want a list of files, or values")
		},
	})
	if err == nil && spec.Ref == "" {
		err = p.fail(n, "a chart without chart:")
	}
	return spec, err
}

func (p configParser) image(n *yaml.Node) (spec ImageSpec, err error) {
	if n.Kind == yaml.ScalarNode {
		spec.Source, err = p.text(n)
	} else {
		err = p.mapping(n, map[string]func(*yaml.Node) error{
			"source":      p.into(&spec.Source),
			"destination": p.into(&spec.Destination),
		})
	}
	if err != nil {
		return spec, err
	}
	if err := spec.check(); err != nil {
		return spec, p.fail(n, "%v", err)
	}
	return spec, nil
}
