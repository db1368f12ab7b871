package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	yaml "gopkg.in/yaml.v3"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
)

// The lists of other tools: what means the same here is taken, and the rest is named
// in Config.NotTaken. A text that those tools fill in is an error, since nobody can
// tell what it would become.
const (
	haulerGroup = "content.hauler.cattle.io/"
	zarfKind    = "ZarfPackageConfig"
)

// parseForeign reads a manifest of hauler (https://docs.hauler.dev) or a package
// definition of zarf (https://docs.zarf.dev/schema/v1alpha1-package); ours is false
// where it is neither.
func parseForeign(b []byte, name string) (c *Config, foreign bool, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	f := &foreignParser{configParser: configParser{name}, c: new(Config)}
	for n := 0; n < maxDocuments; n++ {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, foreign, &fault.ConfigError{File: name, What: err.Error()}
		}
		if len(doc.Content) == 0 {
			continue
		}
		top := resolve(doc.Content[0])
		api, kind := at(top, "apiVersion"), at(top, "kind")
		switch {
		case strings.HasPrefix(api, haulerGroup):
			err = f.hauler(top, kind)
		case kind == zarfKind || kind == "ZarfInitConfig":
			err = f.zarf(top)
		case foreign:
			f.leave("a document of kind %q", kind)
		default:
			return nil, false, nil
		}
		if foreign = true; err != nil {
			return nil, true, err
		}
	}
	if !foreign {
		return nil, false, nil
	}
	f.choosePlatform()
	if len(f.c.Charts)+len(f.c.Images) == 0 {
		err = &fault.ConfigError{File: name, What: "neither charts nor images that a bundle can carry: " + strings.Join(f.c.NotTaken, "; ")}
	}
	return f.c, true, err
}

// maxDocuments bounds the documents of one file.
const maxDocuments = 1000

// A foreignParser collects what documents say.
type foreignParser struct {
	configParser
	c         *Config
	platforms []string // of each image; empty: all
}

// leave notes what is not taken.
func (f *foreignParser) leave(format string, args ...any) {
	if text := f.name + ": not taken: " + fmt.Sprintf(format, args...); !slices.Contains(f.c.NotTaken, text) {
		f.c.NotTaken = append(f.c.NotTaken, text)
	}
}

// at is the text at a key of a mapping; empty where there is none.
func at(n *yaml.Node, key string) string {
	if v := child(n, key); v != nil && v.Kind == yaml.ScalarNode && v.Tag != "!!null" {
		return v.Value
	}
	return ""
}

func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

// items are the elements of a list at a key.
func items(n *yaml.Node, key string) (all []*yaml.Node) {
	if list := child(n, key); list != nil && list.Kind == yaml.SequenceNode {
		for _, item := range list.Content {
			all = append(all, resolve(item))
		}
	}
	return all
}

// rest notes the keys of a mapping that are not known to mean the same.
func (f *foreignParser) rest(what string, n *yaml.Node, known ...string) {
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := n.Content[i].Value, resolve(n.Content[i+1])
		if slices.Contains(known, key) || v.Kind == yaml.ScalarNode && slices.Contains([]string{"", "false", "null", "~"}, v.Value) || v.Kind != yaml.ScalarNode && len(v.Content) == 0 {
			continue
		}
		f.leave("%s: %s", what, key)
	}
}

// filled is an error where a text is filled in by another tool.
func (f *foreignParser) filled(n *yaml.Node, text string) error {
	if strings.Contains(text, "###ZARF_") || strings.Contains(text, "${") || strings.Contains(text, "{{") {
		return f.fail(n, "%q is filled in by another tool: write what it becomes", text)
	}
	return nil
}

func (f *foreignParser) addImage(n *yaml.Node, ref, platform string) error {
	if ref == "" {
		return f.fail(n, "an image without a name")
	}
	if err := f.filled(n, ref); err != nil {
		return err
	}
	spec := ImageSpec{Source: ref}
	if err := spec.check(); err != nil {
		return f.fail(n, "%v", err)
	}
	if !slices.Contains(f.c.Images, spec) {
		f.c.Images, f.platforms = append(f.c.Images, spec), append(f.platforms, platform)
	}
	return nil
}

// choosePlatform makes the platform that all images have the choice; a bundle has one
// choice for all.
func (f *foreignParser) choosePlatform() {
	one := slices.Compact(slices.Clone(f.platforms))
	switch {
	case len(one) == 1 && one[0] != "":
		if p, err := image.ParsePlatform(one[0]); err == nil {
			f.c.Platforms = append(f.c.Platforms, p)
			return
		}
		f.leave("platform %s", one[0])
	case len(one) > 1:
		f.leave("platforms of single images: --platform is for all")
	}
}

// hauler reads a document of hauler.
func (f *foreignParser) hauler(doc *yaml.Node, kind string) error {
	spec, notes := child(doc, "spec"), child(child(doc, "metadata"), "annotations")
	switch kind {
	case "Images":
		f.rest("hauler annotation", notes, "hauler.dev/platform", "hauler.dev/registry")
		for _, n := range items(spec, "images") {
			ref := at(n, "name")
			if host := at(notes, "hauler.dev/registry"); host != "" && !hasHost(ref) {
				ref = host + "/" + ref
			}
			platform := at(n, "platform")
			if platform == "" {
				platform = at(notes, "hauler.dev/platform")
			}
			if err := f.addImage(n, ref, platform); err != nil {
				return err
			}
			f.rest("image "+ref, n, "name", "platform")
		}
	case "Charts":
		f.rest("hauler annotation", notes)
		for _, n := range items(spec, "charts") {
			if err := f.haulerChart(n); err != nil {
				return err
			}
		}
	default:
		f.leave("%d of hauler's %s", max(1, len(items(spec, strings.ToLower(kind)))), kind)
	}
	return nil
}

// hasHost reports whether a reference begins with a registry.
func hasHost(ref string) bool {
	first, _, ok := strings.Cut(ref, "/")
	return ok && (strings.ContainsAny(first, ".:") || first == "localhost")
}

func (f *foreignParser) haulerChart(n *yaml.Node) error {
	name, repo := at(n, "name"), at(n, "repoURL")
	// A bundle has the images and dependencies of its charts in any case.
	f.rest("chart "+name, n, "name", "repoURL", "version", "valuesFiles", "add-images", "add-dependencies", "addImages", "addDependencies")
	return f.addChart(n, ChartSpec{Ref: name, Version: at(n, "version")}, repo)
}

// addChart adds a chart that lies in a repository, a registry or a folder.
func (f *foreignParser) addChart(n *yaml.Node, spec ChartSpec, repo string) error {
	for _, v := range items(n, "valuesFiles") {
		if strings.Contains(v.Value, "://") {
			return f.fail(v, "%s: values over the network are not read: fetch the file, and name it", v.Value)
		}
		spec.ValueFiles = append(spec.ValueFiles, v.Value)
	}
	for _, text := range append([]string{spec.Ref, spec.Version, repo}, spec.ValueFiles...) {
		if err := f.filled(n, text); err != nil {
			return err
		}
	}
	if spec.Ref == "" {
		return f.fail(n, "a chart without a name")
	}
	switch {
	case strings.HasPrefix(repo, "oci://"):
		spec.Ref = strings.TrimSuffix(repo, "/") + "/" + spec.Ref
	case strings.Contains(repo, "://"):
		spec.Repo = repo
	case repo != "":
		spec.Ref, spec.Version = filepath.Join(filepath.FromSlash(repo), spec.Ref), "" // a folder
	}
	f.c.Charts = append(f.c.Charts, spec)
	return nil
}

// zarf reads a package definition.
func (f *foreignParser) zarf(doc *yaml.Node) error {
	f.rest("zarf", doc, "apiVersion", "kind", "metadata", "components", "build")
	platform := ""
	if arch := at(child(doc, "metadata"), "architecture"); arch != "" && arch != "multi" {
		platform = "linux/" + arch
	}
	for _, comp := range items(doc, "components") {
		name := "component " + at(comp, "name")
		f.rest(name, comp, "name", "description", "default", "required", "group", "images", "charts", "actions")
		if child(comp, "actions") != nil {
			f.leave("%s: actions", name)
		}
		for _, n := range items(comp, "images") {
			if err := f.addImage(n, n.Value, platform); err != nil {
				return err
			}
		}
		for _, n := range items(comp, "charts") {
			if err := f.zarfChart(n, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *foreignParser) zarfChart(n *yaml.Node, component string) error {
	name, url, path := at(n, "name"), at(n, "url"), at(n, "localPath")
	what := component + ", chart " + name
	if at(n, "gitPath") != "" || strings.HasSuffix(url, ".git") || strings.Contains(url, ".git@") {
		f.leave("%s: charts in git repositories", what)
		return nil
	}
	f.rest(what, n, "name", "version", "url", "repoName", "localPath", "namespace", "releaseName", "noWait", "valuesFiles", "schemaValidation", "serverSideApply")
	spec := ChartSpec{Ref: name, Version: at(n, "version"), Namespace: at(n, "namespace"), Release: at(n, "releaseName")}
	if spec.Release == "" {
		spec.Release = name
	}
	switch repoName := at(n, "repoName"); {
	case strings.HasPrefix(url, "oci://"):
		spec.Ref, url = url, ""
	case url == "" && path != "":
		spec.Ref, spec.Version = filepath.FromSlash(path), "" // its Chart.yaml says it
	case repoName != "":
		spec.Ref = repoName
	}
	if spec.Ref == name && url == "" && path == "" {
		return f.fail(n, "chart %s has neither url nor localPath", name)
	}
	return f.addChart(n, spec, url)
}
