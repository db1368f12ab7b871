package source

import (
	"bytes"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	yaml "gopkg.in/yaml.v3"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
)

// What lists can be written for.
const (
	forHauler = "hauler" // a manifest of hauler
	forZarf   = "zarf"   // a package definition of zarf
	forText   = "text"   // one reference a line
)

// A Listed is a chart as a list names it.
type Listed struct {
	Spec          ChartSpec
	Name, Version string
}

// WriteList writes charts and images as another tool reads them, or as plain text.
// What that tool has no words for is named in comments.
func WriteList(kind string, charts []Listed, images []string) ([]byte, error) {
	switch kind {
	case forText:
		var b bytes.Buffer
		for _, im := range images {
			fmt.Fprintln(&b, im)
		}
		return b.Bytes(), nil
	case forHauler:
		return haulerList(charts, images)
	case forZarf:
		return zarfList(charts, images)
	}
	return nil, &fault.UsageError{What: fmt.Sprintf("%q: there is no such list", kind), Advice: "want hauler, zarf or text"}
}

type (
	haulerDoc struct {
		APIVersion string            `yaml:"apiVersion"`
		Kind       string            `yaml:"kind"`
		Metadata   map[string]string `yaml:"metadata"`
		Spec       any               `yaml:"spec"`
	}
	haulerImage struct {
		Name string `yaml:"name"`
	}
	haulerChart struct {
		Name    string   `yaml:"name"`
		RepoURL string   `yaml:"repoURL"`
		Version string   `yaml:"version,omitempty"`
		Values  []string `yaml:"valuesFiles,omitempty"`
	}
)

func haulerList(charts []Listed, images []string) ([]byte, error) {
	var listed []haulerImage
	for _, im := range images {
		listed = append(listed, haulerImage{im})
	}
	var of []haulerChart
	for _, c := range charts {
		h := haulerChart{Name: c.Spec.Ref, RepoURL: c.Spec.Repo, Version: c.Version, Values: c.Spec.ValueFiles}
		switch repo, name := path.Split(ociChart(c)); {
		case name != "":
			h.Name, h.RepoURL = name, strings.TrimSuffix(repo, "/")
		case c.Spec.Repo == "":
			h.Name, h.RepoURL = filepath.Base(c.Spec.Ref), filepath.ToSlash(filepath.Dir(c.Spec.Ref))
		}
		of = append(of, h)
	}
	docs := []any{haulerDoc{"content.hauler.cattle.io/v1", "Images", map[string]string{"name": "bundle-images"}, map[string]any{"images": listed}}}
	if len(of) > 0 {
		docs = append(docs, haulerDoc{"content.hauler.cattle.io/v1", "Charts", map[string]string{"name": "bundle-charts"}, map[string]any{"charts": of}})
	}
	return documents(charts, docs)
}

// ociChart is a chart's address in a registry, without a version; empty where it lies
// elsewhere.
func ociChart(c Listed) string {
	if !strings.HasPrefix(c.Spec.Ref, "oci://") {
		return ""
	}
	repository, _, _ := name.Cut(c.Spec.Ref)
	return repository
}

type (
	zarfDoc struct {
		Kind       string            `yaml:"kind"`
		Metadata   map[string]string `yaml:"metadata"`
		Components []zarfComponent   `yaml:"components"`
	}
	zarfComponent struct {
		Name     string      `yaml:"name"`
		Required bool        `yaml:"required"`
		Charts   []zarfChart `yaml:"charts,omitempty"`
		Images   []string    `yaml:"images,omitempty"`
	}
	zarfChart struct {
		Name      string   `yaml:"name"`
		URL       string   `yaml:"url,omitempty"`
		RepoName  string   `yaml:"repoName,omitempty"`
		LocalPath string   `yaml:"localPath,omitempty"`
		Version   string   `yaml:"version,omitempty"`
		Namespace string   `yaml:"namespace"`
		Values    []string `yaml:"valuesFiles,omitempty"`
	}
)

func zarfList(charts []Listed, images []string) ([]byte, error) {
	name := "images"
	comp := zarfComponent{Required: true, Images: images}
	for _, c := range charts {
		z := zarfChart{Name: c.Spec.Release, Version: c.Version, Namespace: c.Spec.Namespace, Values: c.Spec.ValueFiles}
		if z.Name == "" {
			z.Name = c.Name
		}
		if z.Namespace == "" {
			z.Namespace = "default"
		}
		switch oci := ociChart(c); {
		case oci != "":
			z.URL = oci
		case c.Spec.Repo != "":
			z.URL = c.Spec.Repo
			if c.Spec.Ref != z.Name {
				z.RepoName = c.Spec.Ref
			}
		default:
			z.LocalPath = filepath.ToSlash(c.Spec.Ref)
		}
		comp.Charts, name = append(comp.Charts, z), c.Name
	}
	comp.Name = name
	return documents(charts, []any{zarfDoc{"ZarfPackageConfig", map[string]string{"name": name}, []zarfComponent{comp}}})
}

// documents writes them below comments that say what they do not.
func documents(charts []Listed, docs []any) ([]byte, error) {
	var b bytes.Buffer
	for _, c := range charts {
		if len(c.Spec.Set)+len(c.Spec.SetString)+len(c.Spec.Values) > 0 {
			fmt.Fprintf(&b, "# The values given for %s with --set, or in a list, are not in here.\n", record.Printable(c.Name))
		}
	}
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	for _, d := range docs {
		if err := enc.Encode(d); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), enc.Close()
}
