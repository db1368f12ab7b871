package chart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"

	"bundle/bundle/internal/fault"
)

const (
	ociScheme  = "oci://"
	fileScheme = "file://"
)

// maxLocal limits how deep file:// dependencies may lead.
const maxLocal = 8

// complete fetches the dependencies that h lacks; folder is where h lies, empty
// when it came from an archive.
func (l *fetcher) complete(ctx context.Context, h *helm.Chart, folder string) error {
	missing := missingDependencies(h)
	if len(missing) == 0 {
		return nil
	}
	failed := &DependencyError{Chart: h.Name()}
	fail := func(d *helm.Dependency, err error) {
		failed.Missing = append(failed.Missing, MissingDependency{
			Name: d.Name, Version: d.Version, Repository: d.Repository, Err: err,
		})
	}
	locked, err := l.lockedVersions(h)
	done := map[string]bool{} // one chart under several aliases
	for _, d := range missing {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fail(d, err)
			continue
		}
		want := *d
		if v, ok := locked[d.Name+"\x00"+d.Version]; ok {
			want.Version = v
		}
		if id := want.Name + "\x00" + want.Version + "\x00" + want.Repository; done[id] {
			continue
		} else {
			done[id] = true
		}
		dep, err := l.fetchDependency(ctx, h.Name(), &want, folder)
		if err != nil {
			fail(d, err)
			continue
		}
		h.AddDependency(dep)
	}
	if len(failed.Missing) > 0 {
		return failed
	}
	sortDependencies(h)
	return nil
}

// lockedVersions reads the versions that Chart.lock (requirements.lock) fixes,
// by name and constraint; it must match Chart.yaml.
func (l *fetcher) lockedVersions(h *helm.Chart) (map[string]string, error) {
	if h.Lock == nil {
		return nil, nil
	}
	declared := make([]*helm.Dependency, len(h.Metadata.Dependencies))
	for i, d := range h.Metadata.Dependencies {
		dep := *d
		if e, _ := l.repositoryNamed(d.Repository); e != nil {
			dep.Repository = e.URL
		}
		declared[i] = &dep
	}
	if !lockMatches(h, declared) {
		return nil, errors.New("the lock file does not match the dependencies that the chart declares: run helm dependency update")
	}
	versions := map[string]string{}
	for i, d := range h.Metadata.Dependencies {
		if i < len(h.Lock.Dependencies) && h.Lock.Dependencies[i] != nil && h.Lock.Dependencies[i].Name == d.Name {
			versions[d.Name+"\x00"+d.Version] = h.Lock.Dependencies[i].Version
		}
	}
	return versions, nil
}

// lockMatches compares the digest in the lock file with that of the declared
// dependencies, in the way of Helm 3 or, for apiVersion v1, of Helm 2.
func lockMatches(h *helm.Chart, resolved []*helm.Dependency) bool {
	digest := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		sum := sha256.Sum256(b)
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	for _, declared := range [][]*helm.Dependency{resolved, h.Metadata.Dependencies} {
		if digest([2][]*helm.Dependency{declared, h.Lock.Dependencies}) == h.Lock.Digest {
			return true
		}
	}
	return h.Metadata.APIVersion == helm.APIVersionV1 &&
		digest(map[string][]*helm.Dependency{"dependencies": h.Metadata.Dependencies}) == h.Lock.Digest
}

// fetchDependency gets one dependency of the chart parent from where its
// repository field says.
func (l *fetcher) fetchDependency(ctx context.Context, parent string, d *helm.Dependency, folder string) (*helm.Chart, error) {
	var dep *helm.Chart
	var p *parcel
	var err error
	switch {
	case d.Repository == "":
		return nil, errors.New("not in the charts folder, and it names no repository")
	case strings.HasPrefix(d.Repository, fileScheme):
		dep, err = l.localDependency(ctx, d, folder)
	case strings.HasPrefix(d.Repository, ociScheme):
		repository := strings.TrimSuffix(d.Repository, "/")
		p, err = l.fromOCI(ctx, repository+"/"+d.Name, d.Version)
		if parent, twice := strings.CutSuffix(repository, "/"+d.Name); err != nil && twice {
			err = fault.WithHint(err, "the name of the chart is added to repository, as Helm does: in Chart.yaml, write repository: "+redactRef(parent))
		}
	default:
		p, err = l.fromRepositoryOf(ctx, d)
	}
	if err == nil && p != nil {
		dep, err = l.unpack(p, parent)
	}
	if err != nil {
		return nil, err
	}
	if dep.Name() != d.Name {
		return nil, fmt.Errorf("found chart %s there instead", dep.Name())
	}
	return dep, nil
}

// unpack opens a dependency that was fetched for the chart parent.
func (l *fetcher) unpack(p *parcel, parent string) (*helm.Chart, error) {
	c, err := Open(p.archive)
	if err != nil {
		return nil, err
	}
	f := NewFetched(c, p.source)
	f.Parent = parent
	l.fetched = append(l.fetched, f)
	return c.helm, nil
}

// localDependency loads a file:// dependency, relative to the folder of the
// chart that declares it.
func (l *fetcher) localDependency(ctx context.Context, d *helm.Dependency, folder string) (*helm.Chart, error) {
	if folder == "" { // a path of this machine, in an archive from elsewhere
		return nil, errors.New("an archive cannot refer to a folder: package the chart with its dependencies")
	}
	dir := filepath.FromSlash(strings.TrimPrefix(d.Repository, fileScheme))
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(folder, dir)
	}
	dep, err := loadFolder(dir)
	if err != nil {
		return nil, err
	}
	if !chartutil.IsCompatibleRange(d.Version, dep.Metadata.Version) {
		return nil, fmt.Errorf("%s holds version %s, not %s", dir, dep.Metadata.Version, d.Version)
	}
	if l.depth++; l.depth > maxLocal {
		return nil, fmt.Errorf("file:// dependencies nest deeper than %d", maxLocal)
	}
	defer func() { l.depth-- }()
	if err := l.complete(ctx, dep, dir); err != nil {
		return nil, err
	}
	return dep, nil
}

// fromRepositoryOf fetches a dependency from an HTTP repository, given by URL,
// @alias or alias:alias.
func (l *fetcher) fromRepositoryOf(ctx context.Context, d *helm.Dependency) (*parcel, error) {
	url := d.Repository
	entry, isAlias := l.repositoryNamed(url)
	switch {
	case entry != nil:
		url = entry.URL
	case isAlias:
		return nil, errors.New("no such alias in Helm's repositories.yaml")
	case !strings.Contains(url, "://"):
		return nil, fmt.Errorf("%q is neither a URL nor an @alias", url)
	}
	return l.fromRepository(ctx, Source{Ref: d.Name, Repo: url, Version: d.Version})
}
