package chart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/Masterminds/semver/v3"
	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"

	"bundle/bundle/internal/fault"
)

// Source names a chart.
type Source struct {
	// Ref is a folder, a .tgz file, the http(s) URL of a .tgz, oci://…, the
	// name of a chart in Repo, or ALIAS/NAME with an alias from the user's Helm
	// repositories.yaml.
	Ref string
	// Repo is the URL of an HTTP chart repository. When it is given, Ref is
	// never taken for a file, even where one of that name exists.
	Repo string
	// Version is a version or a constraint; empty means the latest stable version. Where
	// Ref names one chart, a folder or an archive, that has to be of it: otherwise Load
	// ends in a *VersionError.
	Version string
	// Username and Password are for Repo, or the URL in Ref. Without them, those
	// of the same repository in repositories.yaml are used.
	Username, Password string
}

// LoadOptions say how to reach chart repositories.
type LoadOptions struct {
	// Fetcher reaches repositories and registries. Without it, whatever is not
	// on this machine is an error.
	Fetcher Fetcher
	// RepositoryConfig is Helm's repositories.yaml; default: the user's.
	RepositoryConfig string
}

// Load reads a chart and makes it complete: dependencies that Chart.yaml
// declares and charts/ lacks are fetched as helm dependency build would,
// Chart.lock honoured, and added in memory; nothing is written to the user's
// folder. As with Helm, a dependency that values disable is needed all the
// same. One that cannot be fetched ends in a *DependencyError that names all
// of them.
//
// Beyond Helm, dependencies of a file:// dependency are fetched too.
//
// A chart from an archive keeps its bytes (see [Chart.Archive]) and its .prov,
// unless dependencies had to be added: then it is packaged anew, as a folder
// is.
func Load(ctx context.Context, s Source, o LoadOptions) (*Chart, error) {
	l := &fetcher{o: o}
	l.name(s.Repo)
	l.name(s.Ref)
	p, err := l.read(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", redactRef(s.Ref), err)
	}
	c, err := l.finish(ctx, p)
	if err == nil && p.only {
		err = c.checkVersion(s.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", redactRef(s.Ref), err)
	}
	return c, nil
}

// A VersionError is a chart of another version than was asked for, where there is no
// other to choose: in a folder or an archive. Helm takes it, and says nothing.
type VersionError struct{ Is, Wanted string }

func (e *VersionError) Error() string {
	return fmt.Sprintf("it is version %s, and not %s", e.Is, e.Wanted)
}

// Fault says where versions are chosen from.
func (e *VersionError) Fault() (fault.Kind, string) {
	return fault.Usage, "a folder or a .tgz has the one version: leave it out, or name the chart of a repository or registry"
}

// checkVersion compares the version with one that was asked for, or a constraint.
func (c *Chart) checkVersion(wanted string) error {
	if wanted == "" || wanted == c.Version() {
		return nil
	}
	is, err := semver.NewVersion(c.Version())
	if exact, notExact := semver.NewVersion(wanted); err == nil && notExact == nil {
		if is.Equal(exact) && is.Metadata() == exact.Metadata() {
			return nil
		}
	} else if constraint, unread := semver.NewConstraint(wanted); err == nil && unread == nil && constraint.Check(is) {
		return nil
	}
	return &VersionError{Is: c.Version(), Wanted: wanted}
}

// parcel is a chart as it was found: a folder, or an archive.
type parcel struct {
	folder  string
	archive []byte
	prov    []byte
	source  string
	fetched bool // it came over the network
	only    bool // nothing was chosen by its version
}

// read finds the chart.
func (l *fetcher) read(ctx context.Context, s Source) (*parcel, error) {
	switch {
	case s.Ref == "":
		return nil, errors.New("no name given")
	case s.Repo != "":
		return l.fromRepository(ctx, s)
	case strings.HasPrefix(s.Ref, ociScheme):
		return l.fromOCI(ctx, s.Ref, s.Version)
	case strings.HasPrefix(s.Ref, "https://"), strings.HasPrefix(s.Ref, "http://"):
		return onlyOne(l.fromURL(ctx, s))
	}
	fi, err := os.Stat(s.Ref)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return l.fromAlias(ctx, s, &NotFoundError{Ref: s.Ref, Err: err})
	case err != nil:
		return nil, err
	case fi.IsDir():
		return &parcel{folder: s.Ref, source: s.Ref, only: true}, nil
	}
	return onlyOne(readFile(s.Ref))
}

func onlyOne(p *parcel, err error) (*parcel, error) {
	if err == nil {
		p.only = true
	}
	return p, err
}

// readFile reads an archive and the provenance beside it.
func readFile(name string) (*parcel, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, &ArchiveError{Err: fmt.Errorf("%s is neither a folder nor a file", name)}
	}
	if fi.Size() > MaxArchive {
		return nil, &ArchiveError{Err: fmt.Errorf("larger than %d MiB", MaxArchive>>20)}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if err := checkKind(name, b); err != nil {
		return nil, err
	}
	var prov []byte
	if fi, err := os.Stat(name + ".prov"); err == nil && fi.Mode().IsRegular() && fi.Size() <= MaxArchive {
		if prov, err = os.ReadFile(name + ".prov"); err != nil {
			return nil, err
		}
	}
	return &parcel{archive: b, prov: prov, source: name}, nil
}

// finish parses the chart, adds what it lacks and packages it where it is no
// complete archive yet. What is returned was parsed from the very bytes of its
// Archive.
func (l *fetcher) finish(ctx context.Context, p *parcel) (*Chart, error) {
	var h *helm.Chart
	if p.folder == "" {
		c, err := Open(p.archive)
		if err != nil && !p.fetched {
			return nil, fault.Input("", err, "")
		}
		if err != nil {
			return nil, err
		}
		if p.fetched {
			l.fetched = append(l.fetched, NewFetched(c, p.source))
		}
		if len(missingDependencies(c.helm)) == 0 {
			c.prov, c.source, c.fetched = p.prov, p.source, l.fetched
			return c, nil
		}
		h = c.helm
	} else {
		var err error
		if h, err = loadFolder(p.folder); err != nil {
			return nil, err
		}
	}
	if err := l.complete(ctx, h, p.folder); err != nil {
		return nil, err
	}
	archive, err := pack(h)
	if err != nil {
		return nil, err
	}
	c, err := Open(archive)
	if err != nil {
		return nil, err
	}
	c.source, c.fetched = p.source, l.fetched
	return c, nil
}

func loadFolder(dir string) (*helm.Chart, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(abs); err != nil {
		return nil, err // Helm would say that Chart.yaml is missing
	}
	// Helm reads the whole folder first, and complains of whatever it stumbles over.
	if _, err := os.Stat(filepath.Join(abs, chartutil.ChartfileName)); errors.Is(err, fs.ErrNotExist) {
		return nil, &KindError{What: "no " + chartutil.ChartfileName + " in this folder", Hint: "want the folder that has one, or what helm package writes"}
	}
	if err := checkParsed(abs); err != nil {
		return nil, fault.Input("", err, "")
	}
	h, err := loadHelm(func() (*helm.Chart, error) { return loader.LoadDir(abs) })
	if err != nil {
		return nil, fault.Input("", err, "")
	}
	return h, checkLinks(abs, h)
}

// checkParsed counts what of a folder is read as YAML, before it is.
func checkParsed(dir string) error {
	left := int64(maxParsed)
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !isParsed(d.Name()) {
			return nil // what cannot be read is not in the chart
		}
		if fi, err := d.Info(); err == nil {
			left -= fi.Size()
		}
		if left < 0 {
			return errTooMuch
		}
		return nil
	})
}

// checkLinks refuses a chart with files that were read through links out of its
// folder: Helm follows them, and whatever they lead to on this machine would
// travel. Links that .helmignore leaves out do not count.
func checkLinks(dir string, h *helm.Chart) error {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return nil // what cannot be read is not in the chart
		}
		to, err := filepath.EvalSymlinks(name)
		if err != nil {
			return nil
		}
		if inside, err := filepath.Rel(root, to); err == nil && filepath.IsLocal(inside) {
			return nil
		}
		link, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		link = filepath.ToSlash(link)
		for _, f := range h.Raw {
			if f.Name == link || strings.HasPrefix(f.Name, link+"/") {
				return fmt.Errorf("%s is a link to %s, outside of the chart's folder: put a copy in its place, or run helm package", link, to)
			}
		}
		return nil
	})
}
