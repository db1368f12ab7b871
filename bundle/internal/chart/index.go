package chart

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/Masterminds/semver/v3"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"sigs.k8s.io/yaml"
)

// What Helm writes and reads about HTTP repositories, read as Helm's package
// repo does. That package brings a whole Kubernetes client: a third of all that
// the program is made of. A test asks helm about the same files.

// repoEntry is a repository in repositories.yaml: where it is, and how to get in.
type repoEntry struct {
	Name                  string `json:"name"`
	URL                   string `json:"url"`
	Username              string `json:"username"`
	Password              string `json:"password"`
	CertFile              string `json:"certFile"`
	KeyFile               string `json:"keyFile"`
	CAFile                string `json:"caFile"`
	InsecureSkipTLSverify bool   `json:"insecure_skip_tls_verify"`
	PassCredentialsAll    bool   `json:"pass_credentials_all"`
}

// repoFile is repositories.yaml.
type repoFile struct {
	Repositories []*repoEntry `json:"repositories"`
}

// readRepoFile reads repositories.yaml; a missing file is empty.
func readRepoFile(name string) (*repoFile, error) {
	f := new(repoFile)
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f.Repositories = slices.DeleteFunc(f.Repositories, func(e *repoEntry) bool { return e == nil })
	return f, nil
}

// Get returns the repository of that name, or nil.
func (f *repoFile) Get(name string) *repoEntry {
	for _, e := range f.Repositories {
		if e.Name == name {
			return e
		}
	}
	return nil
}

// repoIndex is index.yaml. Fields that nothing here reads are there because
// Helm takes no others.
type repoIndex struct {
	ServerInfo  map[string]any          `json:"serverInfo"`
	APIVersion  string                  `json:"apiVersion"`
	Generated   any                     `json:"generated"`
	Entries     map[string]repoVersions `json:"entries"`
	PublicKeys  []string                `json:"publicKeys"`
	Annotations map[string]string       `json:"annotations"`
}

// repoVersion is one version of a chart in index.yaml.
type repoVersion struct {
	*helmchart.Metadata
	URLs    []string `json:"urls"`
	Created any      `json:"created"`
	Removed bool     `json:"removed"`
	Digest  string   `json:"digest"`

	// Of Helm 2.
	Checksum      string `json:"checksum"`
	Engine        string `json:"engine"`
	TillerVersion string `json:"tillerVersion"`
	URL           string `json:"url"`
}

// repoVersions sorts as Helm sorts: what is no version comes first.
type repoVersions []*repoVersion

func (v repoVersions) Len() int      { return len(v) }
func (v repoVersions) Swap(i, j int) { v[i], v[j] = v[j], v[i] }
func (v repoVersions) Less(i, j int) bool {
	a, err := semver.NewVersion(v[i].Version)
	if err != nil {
		return true
	}
	b, err := semver.NewVersion(v[j].Version)
	return err == nil && a.LessThan(b)
}

// parseIndex reads an index.yaml, which may be JSON. Entries that are no charts
// are passed over.
func parseIndex(b []byte) (*repoIndex, error) {
	if len(b) == 0 {
		return nil, errors.New("the index is empty")
	}
	index := new(repoIndex)
	unmarshal := func(b []byte, v any) error { return yaml.UnmarshalStrict(b, v) }
	if json.Valid(b) {
		unmarshal = json.Unmarshal
	}
	if err := unmarshal(b, index); err != nil {
		return nil, fmt.Errorf("malformed index: %w", err)
	}
	if index.APIVersion == "" {
		return nil, errors.New("malformed index: no apiVersion")
	}
	for name, versions := range index.Entries {
		versions = slices.DeleteFunc(versions, func(v *repoVersion) bool { return !v.usable() })
		sort.Sort(sort.Reverse(versions))
		index.Entries[name] = versions
	}
	return index, nil
}

// usable reports whether an entry describes a chart; it fills in what Helm does.
func (v *repoVersion) usable() bool {
	if v == nil {
		return false
	}
	if v.Metadata == nil {
		v.Metadata = new(helmchart.Metadata)
	}
	if v.APIVersion == "" {
		v.APIVersion = helmchart.APIVersionV1
	}
	err := v.Validate()
	var invalid helmchart.ValidationError
	// A widespread repository strips the aliases of dependencies, so their names
	// seem to repeat (helm issue 12748).
	return err == nil || errors.As(err, &invalid) &&
		strings.HasPrefix(invalid.Error(), "validation: more than one dependency with name or alias")
}

// get returns the chart with exactly that version, else the newest that meets
// the constraint: empty is any, but no prerelease. It returns nil for none.
func (x *repoIndex) get(name, version string) *repoVersion {
	wanted, err := semver.NewConstraint(cmp.Or(version, "*"))
	if err != nil {
		return nil
	}
	versions := x.Entries[name]
	for _, v := range versions {
		if version != "" && v.Version == version {
			return v
		}
	}
	for _, v := range versions {
		if parsed, err := semver.NewVersion(v.Version); err == nil && wanted.Check(parsed) {
			return v
		}
	}
	return nil
}

// resolveURL is a URL in an index seen from its repository, whose query goes
// with it.
func resolveURL(base, ref string) (string, error) {
	r, err := url.Parse(ref)
	if err != nil || r.IsAbs() {
		return ref, err
	}
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	b.RawPath = strings.TrimSuffix(b.RawPath, "/") + "/"
	b.Path = strings.TrimSuffix(b.Path, "/") + "/"
	u := b.ResolveReference(r)
	u.RawQuery = b.RawQuery
	return u.String(), nil
}
