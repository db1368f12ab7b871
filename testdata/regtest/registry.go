package regtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd" // access controller "htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"    // access controller "token"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // driver "filesystem"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/sirupsen/logrus"
)

// Options say how a registry is started. The zero value is an in-memory
// registry that anybody may read and write over plain HTTP.
type Options struct {
	Dir  string // storage folder; empty: in memory
	Addr string // address to listen on; empty: 127.0.0.1 and a free port

	TLS   bool // serve HTTPS with a certificate for 127.0.0.1 and localhost, signed by Registry.CA
	HTTP2 bool // with TLS: offer HTTP/2

	Username string // with Password: demand basic authentication for everything
	Password string

	// Token demands bearer tokens instead, issued by a token server at /token
	// of the same host. With Username and Password, the token server gives
	// anonymous callers no access at all, except pull when AnonymousPull is set.
	Token         bool
	TokenTTL      time.Duration // rounded up to full seconds; 0: five minutes
	AnonymousPull bool

	CacheOf string // StartProcess: URL of the registry that it is a pull-through cache of

	Wrap func(http.Handler) http.Handler // placed around the whole registry, outside log and faults
}

// Registry is a running registry. Its methods may be called concurrently.
type Registry struct {
	Log *Log   // every request that came over the network, except the Registry's own
	CA  []byte // PEM certificate that signed the server's; nil without TLS

	host   string
	scheme string
	config string // of a process
	opts   Options
	tokens *tokenServer
	faults faults
	direct http.Handler // the registry behind log and faults; nil: reach it over the network
	client *http.Client
	close  []func() // run last to first
	once   sync.Once
}

var quiet = sync.OnceFunc(func() {
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.PanicLevel)
})

// Start runs a distribution registry in this process. The caller closes it.
func Start(opts Options) (*Registry, error) {
	quiet()
	r := &Registry{opts: opts}
	return r.start(func() (http.Handler, error) { return r.distribution() })
}

// StartReferrers runs an in-memory registry that offers the referrers API of the
// OCI distribution specification 1.1. It supports neither authentication nor Dir.
func StartReferrers(opts Options) (*Registry, error) {
	if opts.Dir != "" || opts.Username != "" || opts.Token {
		return nil, errors.New("regtest: the referrers registry has neither folder nor authentication")
	}
	r := &Registry{opts: opts}
	return r.start(func() (http.Handler, error) {
		return ggcr.New(ggcr.WithReferrersSupport(true), ggcr.Logger(log.New(io.Discard, "", 0))), nil
	})
}

// StartFront runs a reverse proxy with its own address, log and faults in front
// of backend, which stays the caller's to close. Of opts, TLS, HTTP2, Addr and
// Wrap apply; authentication is the backend's.
func StartFront(backend *Registry, opts Options) (*Registry, error) {
	opts.Username, opts.Password, opts.Token = backend.opts.Username, backend.opts.Password, backend.opts.Token
	r := &Registry{opts: opts, tokens: backend.tokens}
	target := &url.URL{Scheme: backend.scheme, Host: backend.host}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(target)
			pr.Out.Host = pr.In.Host
			pr.Out.Header.Set("X-Forwarded-Proto", r.scheme)
		},
		Transport:     backend.client.Transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	if _, err := r.start(func() (http.Handler, error) { return proxy, nil }); err != nil {
		return nil, err
	}
	r.direct = nil
	return r, nil
}

// start listens, then builds the handler (which may need to know the address).
func (r *Registry) start(build func() (http.Handler, error)) (*Registry, error) {
	addr := r.opts.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("regtest: %w", err)
	}
	r.host = ln.Addr().String()
	r.scheme = "http"
	r.Log = &Log{}
	r.client = &http.Client{Transport: &http.Transport{}}
	var cert *tls.Certificate
	if r.opts.TLS {
		r.scheme = "https"
		if cert, err = r.certificate(); err != nil {
			ln.Close()
			return nil, err
		}
	}
	handler, err := build()
	if err != nil {
		ln.Close()
		r.Close()
		return nil, err
	}
	r.direct = handler
	var closing context.CancelFunc
	r.faults.closing, closing = context.WithCancel(context.Background())
	outer := r.Log.record(r.faults.wrap(r.tokens.serve(handler)))
	if r.opts.Wrap != nil {
		outer = r.opts.Wrap(outer)
	}
	srv := httptest.NewUnstartedServer(outer)
	srv.Listener.Close()
	srv.Listener = ln
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if cert != nil {
		srv.EnableHTTP2 = r.opts.HTTP2
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
		srv.StartTLS()
	} else {
		srv.Start()
	}
	r.close = append(r.close, func() {
		closing()
		srv.CloseClientConnections()
		srv.Close()
	})
	return r, nil
}

// distribution builds the registry application.
func (r *Registry) distribution() (h http.Handler, err error) {
	cfg := &configuration.Configuration{}
	cfg.HTTP.Secret = "not a secret: the registry lives for one test"
	cfg.Log.AccessLog.Disabled = true
	cfg.Catalog.MaxEntries = 10 // on a page; its program has 1000, and 0 is an empty list
	cfg.Storage = configuration.Storage{
		"delete":      configuration.Parameters{"enabled": true},
		"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
	}
	if r.opts.Dir == "" {
		storage := configuration.Parameters{"storage": newMemory()}
		cfg.Storage[memory] = storage
		cfg.Middleware = map[string][]configuration.Middleware{"repository": {{Name: memory, Options: storage}}}
	} else {
		cfg.Storage["filesystem"] = configuration.Parameters{"rootdirectory": r.opts.Dir}
	}
	switch {
	case r.opts.Token:
		cfg.Auth, err = r.tokenAuth()
	case r.opts.Username != "":
		cfg.Auth, err = r.basicAuth()
	}
	if err != nil {
		return nil, err
	}
	// NewApp panics on a configuration that it does not like.
	defer func() {
		if p := recover(); p != nil {
			h, err = nil, fmt.Errorf("regtest: start registry: %v", p)
		}
	}()
	app := handlers.NewApp(context.Background(), cfg)
	r.close = append(r.close, func() { _ = app.Shutdown() })
	return app, nil
}

// tempDir makes a folder that Close removes.
func (r *Registry) tempDir() (string, error) {
	dir, err := os.MkdirTemp("", "regtest")
	if err != nil {
		return "", fmt.Errorf("regtest: %w", err)
	}
	r.close = append(r.close, func() { _ = os.RemoveAll(dir) })
	return dir, nil
}

// Host is the registry's "host:port", as it stands in references.
func (r *Registry) Host() string { return r.host }

// URL is the registry's address with scheme and without a path.
func (r *Registry) URL() string { return r.scheme + "://" + r.host }

// WriteCA writes the PEM certificate of the CA into dir and returns its path.
func (r *Registry) WriteCA(dir string) (string, error) {
	if r.CA == nil {
		return "", errors.New("regtest: the registry has no TLS")
	}
	path := filepath.Join(dir, "ca.pem")
	return path, os.WriteFile(path, r.CA, 0o644)
}

// Inject adds a fault. It stays until it has struck Times times or ClearFaults.
func (r *Registry) Inject(f Fault) { r.faults.add(f) }

// ClearFaults removes all faults.
func (r *Registry) ClearFaults() { r.faults.clear() }

// Close ends the registry and every connection to it. It may be called twice.
func (r *Registry) Close() error {
	r.once.Do(func() {
		if r.client != nil {
			r.client.CloseIdleConnections()
		}
		for i := len(r.close) - 1; i >= 0; i-- {
			r.close[i]()
		}
	})
	return nil
}
