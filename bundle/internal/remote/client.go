package remote

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"bundle/bundle/internal/name"
)

// Options configure a Client. The zero value reaches public registries with the
// credentials of the user's Docker or Podman configuration.
type Options struct {
	// Mirrors maps the registry host of a reference to what is contacted
	// instead, "host[:port][/prefix]". The repository path is kept behind the prefix.
	Mirrors map[string]string

	PlainHTTP       []string // hosts ("host[:port]") that are contacted without TLS
	InsecureSkipTLS []string // hosts whose certificate is not verified
	CAFile          string   // PEM file with CA certificates, in addition to the system's

	// ClientCert and ClientKey are PEM files with what servers are shown that ask
	// for a certificate. Those in the certs.d folders of Docker and Podman hold for
	// the host that such a folder is named after, and go before.
	ClientCert, ClientKey string

	// Credentials maps a host ("host[:port]") to what it is given. They win over
	// the Docker configuration, its helpers, REGISTRY_AUTH_FILE and Podman's auth.json.
	Credentials map[string]Credential

	UserAgent string // empty: "bundle"
	Retry     Retry

	// Waiting, if set, is told when a host has not answered for Retry.Notice, and
	// again after each further such time. It is called from several goroutines.
	Waiting func(Wait)
}

// Plain reports whether a host is contacted without TLS.
func (o Options) Plain(host string) bool { return hostSet(o.PlainHTTP)[wireHost(host)] }

// Insecure reports whether a host's certificate is not verified.
func (o Options) Insecure(host string) bool { return hostSet(o.InsecureSkipTLS)[wireHost(host)] }

// LoggedIn reports whether a host is given credentials by these options themselves.
func (o Options) LoggedIn(host string) bool {
	_, ok := o.Credentials[host]
	return ok
}

// Credential is a user name with a password or an access token.
type Credential struct{ Username, Password string }

// Retry bounds what is done about faults. Zero fields have defaults.
type Retry struct {
	Attempts int           // tries in a row without any progress; default 8, but 3 at a host that never answered
	MinWait  time.Duration // pause after the first failure, doubled after each further one; default 500ms
	MaxWait  time.Duration // longest pause; default 30s

	// MaxRetryAfter is the longest pause that a registry may ask for; a longer
	// one fails at once. Default 2m.
	MaxRetryAfter time.Duration

	// Stall is how long a connection may be silent, or all but silent, before it
	// counts as broken. An upload that was sent completely may be processed ten times as long.
	// Default 60s.
	Stall time.Duration

	// Notice is how long a host is waited for before Options.Waiting is told.
	// Default 10s.
	Notice time.Duration
}

func (r Retry) withDefaults() Retry {
	if r.Attempts <= 0 {
		r.Attempts = 8
	}
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&r.MinWait, 500 * time.Millisecond},
		{&r.MaxWait, 30 * time.Second},
		{&r.MaxRetryAfter, 2 * time.Minute},
		{&r.Stall, time.Minute},
		{&r.Notice, 10 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	return r
}

// Client is a connection pool to registries. It is safe for concurrent use.
type Client struct {
	opts      Options
	transport *transport
	mirrors   map[string]string // by the one name of each registry

	asking chan struct{} // taken by whoever looks up a login

	mu    sync.Mutex
	repos map[string]*repository
}

// New checks the options and returns a client. Nothing is contacted yet.
func New(o Options) (*Client, error) {
	o.Retry = o.Retry.withDefaults()
	if o.UserAgent == "" {
		o.UserAgent = "bundle"
	}
	mirrors := map[string]string{}
	for host, mirror := range o.Mirrors {
		mirrors[registryName(host)] = mirror
		if _, err := name.Canonical(strings.TrimRight(mirror, "/") + "/x"); err != nil {
			return nil, fmt.Errorf("mirror %q of %s: want host[:port][/prefix]: %w", mirror, host, err)
		}
	}
	t, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	return &Client{opts: o, transport: t, mirrors: mirrors, asking: make(chan struct{}, 1), repos: map[string]*repository{}}, nil
}

// Close closes idle connections, and those that become idle. Operations under
// way are not disturbed, and the client remains usable.
func (c *Client) Close() { c.transport.close() }

func hostSet(hosts []string) map[string]bool {
	set := map[string]bool{}
	for _, h := range hosts {
		set[wireHost(h)] = true
	}
	return set
}

// repository is one repository with its own credentials and tokens.
type repository struct {
	peer
	name   string // canonical, as the caller spells it
	path   string // on the host
	scheme string

	http *auth.Client
	// oras keeps the fallback index of referrers consistent, which works for
	// concurrent pushes only through one object for each repository.
	oras *remote.Repository
}

// Host is the host that is contacted for a repository.
func (c *Client) Host(repo string) string {
	r, err := c.repository(repo)
	if err != nil {
		return ""
	}
	return r.host
}

// repository returns the one object for a canonical repository name.
func (c *Client) repository(repo string) (*repository, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.repos[repo]; r != nil {
		return r, nil
	}
	ref, err := name.Canonical(repo)
	if err != nil || ref.Repository() != repo {
		return nil, &Error{Op: "parse", Subject: repo, Kind: Other, Err: errNotCanonical}
	}
	host, path := ref.Host, ref.Path
	mirror, mirrored := c.mirrors[registryName(host)]
	if mirrored {
		var prefix string
		host, prefix, _ = strings.Cut(strings.TrimRight(mirror, "/"), "/")
		if prefix != "" {
			path = prefix + "/" + path
		}
	}
	host = wireHost(host)
	r := &repository{
		peer: peer{client: c, host: host, location: host + "/" + path, mirror: mirrored},
		name: repo, path: path, scheme: "https",
	}
	if c.transport.plain[r.host] {
		r.scheme = "http"
	}
	r.http = &auth.Client{
		Client:     &http.Client{Transport: c.transport, CheckRedirect: checkRedirect},
		Header:     http.Header{"User-Agent": {c.opts.UserAgent}},
		Credential: r.credential,
		Cache:      auth.NewCache(),
		ClientID:   "bundle",

		BlockedRealmPrefixes: realmPrefixes(r.host),
	}
	r.oras = &remote.Repository{
		Client:           pusher{r},
		Reference:        registry.Reference{Registry: r.host, Repository: r.path},
		PlainHTTP:        r.scheme == "http",
		MaxMetadataBytes: maxManifest,
		SkipReferrersGC:  true, // needs the right to delete

		// An empty page with a link to the next is no end.
		TagListMaxPages: maxPages, ReferrerListMaxPages: maxPages,
	}
	c.repos[repo] = r
	return r, nil
}

// split separates a canonical reference into its repository and its tag or
// digest; a digest wins over a tag.
func (c *Client) split(ref string) (*repository, string, error) {
	full, err := name.Canonical(ref)
	if err != nil {
		return nil, "", &Error{Op: "parse", Subject: ref, Kind: Other, Err: errNotCanonical}
	}
	r, err := c.repository(full.Repository())
	if err != nil {
		return nil, "", err
	}
	tag := cmp.Or(full.Digest.String(), full.Tag)
	if tag == "" {
		return nil, "", &Error{Op: "parse", Subject: ref, Kind: Other, Err: errNoTag}
	}
	return r, tag, nil
}

// scoped hints at the rights that the operations under ctx need, so that one
// bearer token serves them all.
func (r *repository) scoped(ctx context.Context, actions ...string) context.Context {
	return auth.AppendRepositoryScope(ctx, r.oras.Reference, actions...)
}

// url is the address of an API path of the repository.
func (r *repository) url(path string) string {
	return r.scheme + "://" + r.host + "/v2/" + r.path + "/" + path
}
