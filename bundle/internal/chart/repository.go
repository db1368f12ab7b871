package chart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/helmpath"

	"bundle/bundle/internal/name"
)

// Limits of what a repository may send, in bytes.
const (
	maxIndex = 256 << 20
	maxProv  = 1 << 20
)

// A Fetcher reaches chart repositories and registries. Helm's own HTTP getter
// knows neither contexts nor limits, and follows redirects to plain HTTP with
// credentials.
type Fetcher interface {
	// Get fetches a file of an HTTP repository. An error with a method
	// HTTPStatus() int is an answer of the server unless that returns 0.
	Get(ctx context.Context, q Request) ([]byte, error)
	// Pull fetches a chart from an OCI registry.
	Pull(ctx context.Context, q PullRequest) (Pulled, error)
}

// PullRequest is a chart in an OCI registry.
type PullRequest struct {
	Ref     string // oci://host/path/name
	Version string // or a constraint; empty: the newest
	Named   bool   // the user named the host: it may be on this machine or its link
}

// Pulled is a chart that an OCI registry had.
type Pulled struct {
	Archive []byte
	From    string // oci://host/path/name:tag
}

// A Fetched is one chart that came over the network.
type Fetched struct {
	Chart   string `json:"chart"` // name
	Version string `json:"version"`
	From    string `json:"from"`             // the URL of its archive or oci://HOST/PATH:TAG, without credentials
	Digest  string `json:"digest"`           // of the archive, sha256:…
	Parent  string `json:"parent,omitempty"` // name of the chart that depends on it; empty for the one that was asked for
}

// NewFetched describes an archive that came from a place.
func NewFetched(c *Chart, from string) Fetched {
	sum := sha256.Sum256(c.archive)
	return Fetched{Chart: c.Name(), Version: c.Version(), From: from, Digest: "sha256:" + hex.EncodeToString(sum[:])}
}

// Request is one file of an HTTP repository.
type Request struct {
	URL   string
	Limit int64 // of its size, in bytes

	// Owner is the URL of the repository. Username and Password go to its host
	// alone (CVE-2021-32690), unless PassCredentials sends them wherever its
	// index and redirects lead.
	Owner              string
	Username, Password string
	PassCredentials    bool

	// What repositories.yaml says of the repository.
	CAFile, CertFile, KeyFile string
	InsecureSkipTLS           bool

	// Named are the origins (scheme://host[:port]) that the user named. Only they
	// may be on this machine or its link, and those with http be contacted without
	// TLS.
	Named []string
}

// fetcher gets charts for one Load.
type fetcher struct {
	o       LoadOptions
	indexes map[string]*repoIndex // by repository URL
	config  *repoFile             // the user's repositories.yaml
	named   []string              // origins that the user named, in the source or in repositories.yaml
	depth   int                   // of file:// dependencies
	fetched []Fetched
}

// RepositoryError is a repository that holds what it must not.
type RepositoryError struct {
	URL string // without credentials
	Err error
}

func (e *RepositoryError) Error() string {
	return fmt.Sprintf("chart repository: %s: %v", e.URL, e.Err)
}

func (e *RepositoryError) Unwrap() error { return e.Err }

// get fetches a URL of a repository, at most limit bytes.
func (l *fetcher) get(ctx context.Context, e *repoEntry, u string, limit int64) ([]byte, error) {
	if l.o.Fetcher == nil {
		return nil, fmt.Errorf("%s: charts in repositories cannot be fetched here", redactRef(u))
	}
	return l.o.Fetcher.Get(ctx, Request{
		URL: u, Limit: limit, Owner: e.URL, Username: e.Username, Password: e.Password,
		PassCredentials: e.PassCredentialsAll,
		CAFile:          e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile, InsecureSkipTLS: e.InsecureSkipTLSverify,
		Named: l.named,
	})
}

// fromOCI fetches a chart from an OCI registry.
func (l *fetcher) fromOCI(ctx context.Context, ref, version string) (*parcel, error) {
	if l.o.Fetcher == nil {
		return nil, fmt.Errorf("%s: charts in OCI registries cannot be fetched here", redactRef(ref))
	}
	got, err := l.o.Fetcher.Pull(ctx, PullRequest{Ref: ref, Version: version, Named: slices.Contains(l.named, origin(ref))})
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", redactRef(ref), err)
	}
	return &parcel{archive: got.Archive, source: redactRef(got.From), fetched: true}, nil
}

// answered reports whether err is what a server answered, not that it did not.
func answered(err error) bool {
	var answer interface{ HTTPStatus() int }
	return errors.As(err, &answer) && answer.HTTPStatus() != 0
}

// repositories returns the user's repositories.yaml; a missing file is empty.
func (l *fetcher) repositories() (*repoFile, error) {
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
	f, err := readRepoFile(name)
	if err != nil {
		return nil, fmt.Errorf("helm repositories: %w", err)
	}
	l.config = f
	for _, e := range f.Repositories {
		l.name(e.URL)
	}
	return f, nil
}

// name notes that the user named a URL.
func (l *fetcher) name(s string) {
	if o := origin(s); o != "" {
		l.named = append(l.named, o)
	}
}

// origin is scheme://host[:port] of a URL, empty where s is none.
func origin(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

// repositoryNamed resolves @alias and alias:alias; isAlias tells whether the
// text is one at all.
func (l *fetcher) repositoryNamed(s string) (entry *repoEntry, isAlias bool) {
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
func (l *fetcher) entry(s Source) (*repoEntry, error) {
	e := &repoEntry{
		URL: s.Repo, Username: s.Username, Password: s.Password,
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
			e.PassCredentialsAll = known.PassCredentialsAll
		}
		e.CAFile, e.CertFile, e.KeyFile = known.CAFile, known.CertFile, known.KeyFile
		e.InsecureSkipTLSverify = known.InsecureSkipTLSverify
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
	v := index.get(s.Ref, s.Version)
	if v == nil || len(v.URLs) == 0 {
		return nil, fmt.Errorf("%s is not in %s", strings.TrimSpace("version "+s.Version+" of chart "+s.Ref), redact(e.URL))
	}
	u, err := resolveURL(e.URL, v.URLs[0])
	if err != nil {
		return nil, &RepositoryError{URL: redact(e.URL), Err: withoutURL(err)}
	}
	if rest, ok := strings.CutPrefix(u, ociScheme); ok {
		version := v.Version
		repository, tag, digest := name.Cut(rest)
		if tag != "" && digest == "" {
			rest, version = repository, strings.ReplaceAll(tag, "_", "+") // as Helm writes versions in tags
		}
		return l.fromOCI(ctx, ociScheme+rest, version)
	}
	return l.archive(ctx, e, u, v.Digest)
}

// archive downloads an archive, checks it against the digest of the index and
// looks for a provenance file beside it.
func (l *fetcher) archive(ctx context.Context, e *repoEntry, u, digest string) (*parcel, error) {
	b, err := l.get(ctx, e, u, MaxArchive)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	if want := strings.TrimPrefix(digest, "sha256:"); want != "" && !strings.EqualFold(want, hex.EncodeToString(sum[:])) {
		return nil, &RepositoryError{URL: redact(u), Err: fmt.Errorf("the archive has digest %x, the index says %s", sum, want)}
	}
	p := &parcel{archive: b, source: redact(u), fetched: true}
	prov, err := l.get(ctx, e, provURL(u), maxProv)
	switch {
	case err == nil && strings.Contains(string(prov), "-----BEGIN PGP SIGNED MESSAGE-----"):
		p.prov = prov
	case err != nil && !answered(err):
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
func (l *fetcher) index(ctx context.Context, e *repoEntry) (*repoIndex, error) {
	if i, ok := l.indexes[e.URL]; ok {
		return i, nil
	}
	u, err := resolveURL(e.URL, "index.yaml")
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
		l.indexes = map[string]*repoIndex{}
	}
	l.indexes[e.URL] = i
	return i, nil
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
