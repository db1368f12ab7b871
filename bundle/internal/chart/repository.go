package chart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"helm.sh/helm/v3/pkg/helmpath"
	"helm.sh/helm/v3/pkg/repo"
)

// Limits of what a repository may send, in bytes.
const (
	maxIndex = 256 << 20
	maxProv  = 1 << 20
)

// fetcher gets charts for one Load. Helm's own HTTP getter knows neither
// contexts nor limits, and follows redirects to plain HTTP with credentials;
// so only the index and the configuration are Helm's.
type fetcher struct {
	o       LoadOptions
	indexes map[string]*repo.IndexFile // by repository URL
	config  *repo.File                 // the user's repositories.yaml
	depth   int                        // of file:// dependencies
}

// RepositoryError is a failed request to a chart repository.
type RepositoryError struct {
	URL    string // without credentials
	Status int    // HTTP status, 0 when there was no answer
	Err    error
}

func (e *RepositoryError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("chart repository: %s: %v", e.URL, e.Err)
	}
	return fmt.Sprintf("chart repository: %s: %d %s", e.URL, e.Status, http.StatusText(e.Status))
}

func (e *RepositoryError) Unwrap() error { return e.Err }

// repositories returns the user's repositories.yaml; a missing file is empty.
func (l *fetcher) repositories() (*repo.File, error) {
	if l.config != nil {
		return l.config, nil
	}
	name := l.o.RepositoryConfig
	if name == "" {
		name = os.Getenv("HELM_REPOSITORY_CONFIG")
	}
	if name == "" {
		name = helmpath.ConfigPath("repositories.yaml")
	}
	if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
		l.config = repo.NewFile()
		return l.config, nil
	}
	f, err := repo.LoadFile(name)
	if err != nil {
		return nil, fmt.Errorf("helm repositories: %w", err)
	}
	l.config = f
	return f, nil
}

// repositoryNamed resolves @alias and alias:alias; isAlias tells whether the
// text is one at all.
func (l *fetcher) repositoryNamed(s string) (entry *repo.Entry, isAlias bool) {
	name, ok := strings.CutPrefix(s, "@")
	if !ok {
		if name, ok = strings.CutPrefix(s, "alias:"); !ok {
			return nil, false
		}
	}
	if f, err := l.repositories(); err == nil {
		return f.Get(name), true
	}
	return nil, true
}

// entry describes how to reach a repository: what the user gave for it, and
// for what is not given, what repositories.yaml says about the same URL.
func (l *fetcher) entry(s Source) (*repo.Entry, error) {
	e := &repo.Entry{
		URL: s.Repo, Username: s.Username, Password: s.Password,
		CAFile: l.o.CAFile, PassCredentialsAll: l.o.PassCredentials,
		InsecureSkipTLSverify: l.o.InsecureSkipTLSVerify,
	}
	f, err := l.repositories()
	if err != nil {
		return nil, err
	}
	for _, known := range f.Repositories {
		if !sameURL(known.URL, s.Repo) {
			continue
		}
		if e.Username == "" && e.Password == "" {
			e.Username, e.Password = known.Username, known.Password
			e.PassCredentialsAll = e.PassCredentialsAll || known.PassCredentialsAll
		}
		if e.CAFile == "" {
			e.CAFile = known.CAFile
		}
		e.CertFile, e.KeyFile = known.CertFile, known.KeyFile
		e.InsecureSkipTLSverify = e.InsecureSkipTLSverify || known.InsecureSkipTLSverify
		break
	}
	return e, nil
}

func sameURL(a, b string) bool {
	ua, err := url.Parse(strings.TrimRight(a, "/"))
	if err != nil {
		return false
	}
	ub, err := url.Parse(strings.TrimRight(b, "/"))
	if err != nil {
		return false
	}
	return ua.Scheme == ub.Scheme && strings.EqualFold(ua.Host, ub.Host) && ua.Path == ub.Path && ua.RawQuery == ub.RawQuery
}

// fromAlias fetches ALIAS/NAME; missing is the error when it is none.
func (l *fetcher) fromAlias(ctx context.Context, s Source, missing error) (*parcel, error) {
	alias, name, ok := strings.Cut(s.Ref, "/")
	if !ok || strings.HasPrefix(s.Ref, ".") || filepath.IsAbs(s.Ref) {
		return nil, missing
	}
	f, err := l.repositories()
	if err != nil {
		return nil, err
	}
	e := f.Get(alias)
	if e == nil {
		return nil, missing
	}
	s.Ref, s.Repo = name, e.URL
	return l.fromRepository(ctx, s)
}

// fromURL fetches an archive by its URL.
func (l *fetcher) fromURL(ctx context.Context, s Source) (*parcel, error) {
	u, err := url.Parse(s.Ref)
	if err != nil {
		return nil, withoutURL(err)
	}
	if u.User != nil && s.Username == "" {
		s.Username = u.User.Username()
		s.Password, _ = u.User.Password()
	}
	u.User = nil
	s.Repo = (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
	e, err := l.entry(s)
	if err != nil {
		return nil, err
	}
	return l.archive(ctx, e, u.String(), "")
}

// fromRepository fetches the chart s.Ref from the repository s.Repo.
func (l *fetcher) fromRepository(ctx context.Context, s Source) (*parcel, error) {
	e, err := l.entry(s)
	if err != nil {
		return nil, err
	}
	index, err := l.index(ctx, e)
	if err != nil {
		return nil, err
	}
	v, err := index.Get(s.Ref, s.Version)
	if err != nil || len(v.URLs) == 0 {
		return nil, fmt.Errorf("%s is not in %s", strings.TrimSpace("version "+s.Version+" of chart "+s.Ref), redact(e.URL))
	}
	u, err := repo.ResolveReferenceURL(e.URL, v.URLs[0])
	if err != nil {
		return nil, &RepositoryError{URL: redact(e.URL), Err: withoutURL(err)}
	}
	if rest, ok := strings.CutPrefix(u, ociScheme); ok {
		ref, version := rest, v.Version
		if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
			ref, version = rest[:i], rest[i+1:]
		}
		b, err := l.fromOCI(ctx, ociScheme+ref, version)
		return &parcel{archive: b, source: redactRef(u)}, err
	}
	return l.archive(ctx, e, u, v.Digest)
}

// archive downloads an archive, checks it against the digest of the index and
// looks for a provenance file beside it.
func (l *fetcher) archive(ctx context.Context, e *repo.Entry, u, digest string) (*parcel, error) {
	b, err := l.get(ctx, e, u, maxArchiveSize)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	if want := strings.TrimPrefix(digest, "sha256:"); want != "" && !strings.EqualFold(want, hex.EncodeToString(sum[:])) {
		return nil, &RepositoryError{URL: redact(u), Err: fmt.Errorf("the archive has digest %x, the index says %s", sum, want)}
	}
	p := &parcel{archive: b, source: redact(u)}
	prov, err := l.get(ctx, e, provURL(u), maxProv)
	var answer *RepositoryError
	switch {
	case err == nil && strings.Contains(string(prov), "-----BEGIN PGP SIGNED MESSAGE-----"):
		p.prov = prov
	case err != nil && !(errors.As(err, &answer) && answer.Status != 0):
		return nil, err // no answer at all, which is not "there is none"
	}
	return p, nil
}

func provURL(u string) string {
	base, query, ok := strings.Cut(u, "?")
	if !ok {
		return base + ".prov"
	}
	return base + ".prov?" + query
}

// index fetches and parses index.yaml once per repository.
func (l *fetcher) index(ctx context.Context, e *repo.Entry) (*repo.IndexFile, error) {
	if i, ok := l.indexes[e.URL]; ok {
		return i, nil
	}
	u, err := repo.ResolveReferenceURL(e.URL, "index.yaml")
	if err != nil {
		return nil, &RepositoryError{URL: redact(e.URL), Err: withoutURL(err)}
	}
	b, err := l.get(ctx, e, u, maxIndex)
	if err != nil {
		return nil, err
	}
	i, err := parseIndex(b)
	if err != nil {
		return nil, &RepositoryError{URL: redact(u), Err: err}
	}
	if l.indexes == nil {
		l.indexes = map[string]*repo.IndexFile{}
	}
	l.indexes[e.URL] = i
	return i, nil
}

// parseIndex hands the index to Helm, whose parser reads files only.
func parseIndex(b []byte) (index *repo.IndexFile, err error) {
	defer silence()()
	defer func() {
		if r := recover(); r != nil {
			index, err = nil, fmt.Errorf("malformed index: %v", r)
		}
	}()
	f, err := os.CreateTemp("", "index-*.yaml")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return repo.LoadIndexFile(f.Name())
}

// withoutURL takes the URL out of an error: it stands in ours already, and there
// without credentials.
func withoutURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// redactRef is redact for what may be a path as well.
func redactRef(s string) string {
	if strings.Contains(s, "://") {
		return redact(s)
	}
	return s
}

// redact removes credentials from a URL: user, password, and signatures in the
// query.
func redact(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "(malformed URL)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
