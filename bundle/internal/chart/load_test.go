package chart

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	helm "helm.sh/helm/v3/pkg/chart"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/remote"
)

// repository is a chart repository on a real HTTP server.
type repository struct {
	*httptest.Server
	files          map[string][]byte
	user, password string
	requests       []string
}

func newRepository(t *testing.T, secure bool) *repository {
	r := &repository{files: map[string][]byte{}}
	h := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		user, password, given := req.BasicAuth()
		r.requests = append(r.requests, fmt.Sprintf("%s %v", req.URL.Path, given))
		if r.user != "" && (user != r.user || password != r.password) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		b, ok := r.files[req.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if to, ok := strings.CutPrefix(string(b), "redirect:"); ok {
			http.Redirect(w, req, to, http.StatusFound)
			return
		}
		_, _ = w.Write(b)
	})
	if secure {
		r.Server = httptest.NewUnstartedServer(h)
		r.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are expected
		r.StartTLS()
	} else {
		r.Server = httptest.NewServer(h)
	}
	t.Cleanup(r.Close)
	return r
}

// add publishes a chart; url is what the index says, "" for a relative one.
func (r *repository) add(t *testing.T, name, version, url string) []byte {
	b := tgz(t, name, files{
		"Chart.yaml":       "apiVersion: v2\nname: " + name + "\nversion: " + version + "\n",
		"templates/t.yaml": "image: org/" + name + ":" + version,
	})
	file := name + "-" + version + ".tgz"
	r.files["/charts/"+file] = b
	if url == "" {
		url = file
	}
	sum := sha256.Sum256(b)
	index := string(r.files["/charts/index.yaml"])
	if index == "" {
		index = "apiVersion: v1\nentries:\n"
	}
	if !strings.Contains(index, "  "+name+":\n") {
		index += "  " + name + ":\n"
	}
	entry := fmt.Sprintf("  - {name: %s, version: %s, apiVersion: v2, digest: %s, urls: ['%s']}\n", name, version, hex.EncodeToString(sum[:]), url)
	r.files["/charts/index.yaml"] = []byte(strings.Replace(index, "  "+name+":\n", "  "+name+":\n"+entry, 1))
	return b
}

func (r *repository) url() string { return r.URL + "/charts" }

// web fetches with the client that the program uses. oci stands in for charts in
// registries, which that client leaves to others.
type web struct {
	*remote.Client
	oci func(ref, version string) ([]byte, error)
}

func newWeb(t *testing.T, o remote.Options) *web {
	t.Helper()
	if o.Retry == (remote.Retry{}) {
		o.Retry = remote.Retry{Attempts: 3, MinWait: time.Millisecond}
	}
	c, err := remote.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &web{Client: c}
}

func (w *web) Get(ctx context.Context, q Request) ([]byte, error) {
	return w.Client.Get(ctx, remote.Request(q))
}

func (w *web) Pull(_ context.Context, q PullRequest) (Pulled, error) {
	if w.oci == nil {
		return Pulled{}, errors.New("no registry here")
	}
	b, err := w.oci(q.Ref, q.Version)
	return Pulled{Archive: b, From: q.Ref + ":" + q.Version}, err
}

// noConfig keeps the user's own repositories.yaml out of a test.
func noConfig(t *testing.T) LoadOptions {
	return LoadOptions{Fetcher: newWeb(t, remote.Options{}), RepositoryConfig: filepath.Join(t.TempDir(), "repositories.yaml")}
}

func TestLoadFiles(t *testing.T) {
	dir := t.TempDir()
	b := tgz(t, "app", files{"Chart.yaml": chartYAML("app")})
	name := filepath.Join(dir, "app-1.2.3.tgz")
	for p, data := range map[string][]byte{name: b, name + ".prov": []byte("signed"), filepath.Join(dir, "values.yaml"): []byte("a: 1")} {
		if err := os.WriteFile(p, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(t.Context(), Source{Ref: name}, noConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.Archive(), b) || string(c.Prov()) != "signed" || c.Source() != name {
		t.Error("archive, provenance or source are not the given ones")
	}
	for _, s := range []Source{
		{}, {Ref: filepath.Join(dir, "gone.tgz")}, {Ref: "./gone"}, {Ref: "gone/gone"}, {Ref: dir},
		{Ref: filepath.Join(dir, "values.yaml")}, {Ref: "oci://r.example.com/app"},
	} {
		if _, err := Load(t.Context(), s, noConfig(t)); err == nil || !strings.Contains(err.Error(), s.Ref) {
			t.Errorf("%+v: error is %v", s, err)
		}
	}
	if _, err := Load(t.Context(), Source{Ref: name + "x"}, noConfig(t)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func TestLoadVersions(t *testing.T) {
	r := newRepository(t, false)
	for _, v := range []string{"1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1"} {
		r.add(t, "app", v, "")
	}
	r.files["/charts/app-1.10.0.tgz.prov"] = []byte("-----BEGIN PGP SIGNED MESSAGE-----\n")
	for _, tt := range []struct{ version, want string }{
		{"", "1.10.0"}, {"1.9.0", "1.9.0"}, {"~1.9", "1.9.0"}, {"<1.5", "1.0.0"}, {">=2.0.0-0", "2.0.0-rc.1"}, {"3.x", ""}, {"not a version", ""},
	} {
		c, err := Load(t.Context(), Source{Ref: "app", Repo: r.url(), Version: tt.version}, noConfig(t))
		switch {
		case tt.want == "" && err == nil:
			t.Errorf("%s: found %s", tt.version, c.Version())
		case tt.want != "" && (err != nil || c.Version() != tt.want):
			t.Errorf("%s: %v", tt.version, err)
		case tt.want == "1.10.0" && (c.Prov() == nil || c.Source() != r.url()+"/app-1.10.0.tgz"):
			t.Errorf("provenance %q, source %s", c.Prov(), c.Source())
		}
	}
	if _, err := Load(t.Context(), Source{Ref: "gone", Repo: r.url()}, noConfig(t)); err == nil || !strings.Contains(err.Error(), "chart gone is not in "+r.url()) {
		t.Errorf("error is %v", err)
	}
	c, err := Load(t.Context(), Source{Ref: r.url() + "/app-1.9.0.tgz"}, noConfig(t))
	if err != nil || c.Version() != "1.9.0" {
		t.Errorf("by URL: %v", err)
	}
}

func TestLoadDigest(t *testing.T) {
	r := newRepository(t, false)
	r.add(t, "app", "1.0.0", "")
	r.files["/charts/app-1.0.0.tgz"] = tgz(t, "app", files{"Chart.yaml": chartYAML("app")})
	_, err := Load(t.Context(), Source{Ref: "app", Repo: r.url()}, noConfig(t))
	if !strings.Contains(fmt.Sprint(err), "the archive has digest") {
		t.Errorf("error is %v", err)
	}
}

func TestLoadErrorsOfTheServer(t *testing.T) {
	r := newRepository(t, false)
	r.files["/charts/index.yaml"] = []byte("entries: [")
	r.files["/plain/index.yaml"] = []byte("redirect:" + r.URL + "/loop")
	r.files["/loop"] = []byte("redirect:/loop")
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, tt := range []struct {
		repo, message string
		status        int
	}{
		{r.URL + "/other", "404 Not Found", 404}, {r.url(), "index.yaml", 0}, {r.URL + "/plain", "stopped after 10 redirects", 0}, {gone.URL, "refused", 0},
		{"ftp://x.example.com", "not a URL of the form https://", 0},
	} {
		_, err := Load(t.Context(), Source{Ref: "app", Repo: tt.repo, Username: "u", Password: "secret"}, noConfig(t))
		var e *remote.Error
		if status := 0; errors.As(err, &e) {
			if status = e.Status; status != tt.status {
				t.Errorf("%s: status %d, want %d", tt.repo, status, tt.status)
			}
		}
		if err == nil || !strings.Contains(err.Error(), tt.message) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error is %v", tt.repo, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, Source{Ref: "app", Repo: r.url()}, noConfig(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// What can pass is tried again; what cannot, and what does not, is an error.
func TestLoadTriesAgain(t *testing.T) {
	t.Parallel()
	broken := func(do http.HandlerFunc) func(int, http.Handler) http.HandlerFunc {
		return func(times int, next http.Handler) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if times == 0 {
					next.ServeHTTP(w, r)
					return
				}
				times--
				do(w, r)
			}
		}
	}
	silent := broken(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("apiVersion: v1"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	busy := broken(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	cut := broken(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("apiVersion: v1"))
	})
	for _, tt := range []struct {
		name    string
		fault   func(int, http.Handler) http.HandlerFunc
		times   int
		message string // "": it works
	}{
		{"silent", silent, 1, ""}, {"busy", busy, 2, ""}, {"cut", cut, 2, ""},
		{"silent for ever", silent, 3, "connection went silent"}, {"busy for ever", busy, 3, "503"}, {"cut for ever", cut, 3, "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t, false)
			b := r.add(t, "app", "1.0.0", "")
			r.Config.Handler = tt.fault(tt.times, r.Config.Handler)
			o := noConfig(t)
			stall := 2 * time.Second // longer than a busy machine takes to answer
			if strings.HasPrefix(tt.name, "silent for") {
				stall = 50 * time.Millisecond
			}
			o.Fetcher = newWeb(t, remote.Options{Retry: remote.Retry{Attempts: 3, MinWait: time.Millisecond, Stall: stall}})
			c, err := Load(t.Context(), Source{Ref: "app", Repo: r.url()}, o)
			switch {
			case tt.message == "" && (err != nil || !bytes.Equal(c.Archive(), b)):
				t.Errorf("error is %v", err)
			case tt.message != "" && (err == nil || !strings.Contains(err.Error(), tt.message)):
				t.Errorf("error is %v, want one with %q", err, tt.message)
			}
		})
	}
}

// Credentials go to the repository's own host, and elsewhere only when the user
// says so.
func TestLoadCredentials(t *testing.T) {
	other := newRepository(t, false)
	r := newRepository(t, false)
	r.user, r.password = "u", "p"
	r.add(t, "own", "1.0.0", "")
	other.files["/charts/foreign-1.0.0.tgz"] = r.add(t, "foreign", "1.0.0", other.url()+"/foreign-1.0.0.tgz")
	r.add(t, "moved", "1.0.0", "")
	other.files["/moved.tgz"] = r.files["/charts/moved-1.0.0.tgz"]
	r.files["/charts/moved-1.0.0.tgz"] = []byte("redirect:" + other.URL + "/moved.tgz")

	config := filepath.Join(t.TempDir(), "repositories.yaml")
	yaml := fmt.Sprintf("apiVersion: ''\nrepositories: [{name: mine, url: '%s/', username: u, password: p}]\n", r.url())
	for name, yaml := range map[string]string{config: yaml, config + "x": strings.Replace(yaml, "password: p", "password: p, pass_credentials_all: true", 1)} {
		if err := os.WriteFile(name, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The other host is one that the index or a redirect leads to.
	plain := newWeb(t, remote.Options{PlainHTTP: []string{strings.TrimPrefix(other.URL, "http://")}})
	given := Source{Repo: r.url(), Username: "u", Password: "p"}
	tests := []struct {
		name    string
		ref     string
		source  Source
		o       LoadOptions
		foreign string // what the other server was asked for
		fails   bool
	}{
		{name: "none", ref: "own", source: Source{Repo: r.url()}, o: noConfig(t), fails: true},
		{name: "wrong", ref: "own", source: Source{Repo: r.url(), Username: "u", Password: "x"}, o: noConfig(t), fails: true},
		{name: "given", ref: "own", source: given, o: noConfig(t)},
		{name: "configured", ref: "own", source: Source{Repo: r.url()}, o: LoadOptions{RepositoryConfig: config}},
		{name: "by alias", ref: "mine/own", o: LoadOptions{RepositoryConfig: config}},
		{name: "by URL", ref: r.url() + "/own-1.0.0.tgz", source: Source{Username: "u", Password: "p"}, o: noConfig(t)},
		{name: "in the URL", ref: strings.Replace(r.url(), "http://", "http://u:p@", 1) + "/own-1.0.0.tgz", o: noConfig(t)},
		{name: "another host", ref: "foreign", source: given, o: noConfig(t), foreign: "/charts/foreign-1.0.0.tgz false"},
		{name: "passed on", ref: "foreign", source: Source{Repo: r.url()}, o: LoadOptions{RepositoryConfig: config + "x"}, foreign: "/charts/foreign-1.0.0.tgz true"},
		{name: "redirect", ref: "moved", source: given, o: noConfig(t), foreign: "/moved.tgz false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			other.requests = nil
			tt.source.Ref, tt.o.Fetcher = tt.ref, plain
			c, err := Load(t.Context(), tt.source, tt.o)
			if (err != nil) != tt.fails {
				t.Fatalf("error is %v", err)
			}
			if tt.fails {
				if fault.KindOf(err) != fault.Refused || !strings.Contains(fault.Hint(err), "--username") && !strings.Contains(fault.Hint(err), "wrong or expired") {
					t.Errorf("error is %v (%s)", err, fault.Hint(err))
				}
				return
			}
			if strings.Contains(c.Source(), "u:p") {
				t.Errorf("source %s", c.Source())
			}
			if tt.foreign != "" && (len(other.requests) == 0 || other.requests[0] != tt.foreign) {
				t.Errorf("the other host was asked %q, want %q first", other.requests, tt.foreign)
			}
		})
	}
}

func TestLoadTLS(t *testing.T) {
	plain := newRepository(t, false)
	r := newRepository(t, true)
	r.add(t, "app", "1.0.0", "")
	plain.files["/x.tgz"] = r.add(t, "down", "1.0.0", "")
	r.files["/charts/down-1.0.0.tgz"] = []byte("redirect:" + plain.URL + "/x.tgz")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o644); err != nil {
		t.Fatal(err)
	}
	config := func(line string) string {
		name := filepath.Join(t.TempDir(), "repositories.yaml")
		if err := os.WriteFile(name, fmt.Appendf(nil, "repositories: [{name: mine, url: '%s', %s}]\n", r.url(), line), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	host := strings.TrimPrefix(r.URL, "https://")
	load := func(name, config string, o remote.Options) error {
		_, err := Load(t.Context(), Source{Ref: name, Repo: r.url()}, LoadOptions{Fetcher: newWeb(t, o), RepositoryConfig: config})
		return err
	}
	var unknown *tls.CertificateVerificationError
	if err := load("app", ca+".none", remote.Options{}); !errors.As(err, &unknown) || fault.KindOf(err) != fault.Refused {
		t.Errorf("unknown authority: %v", err)
	}
	for name, err := range map[string]error{
		"its CA":                             load("app", ca+".none", remote.Options{CAFile: ca}),
		"its CA in repositories.yaml":        load("app", config("caFile: "+ca), remote.Options{}),
		"without verification":               load("app", ca+".none", remote.Options{InsecureSkipTLS: []string{host}}),
		"without, as repositories.yaml says": load("app", config("insecure_skip_tls_verify: true"), remote.Options{}),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := load("app", config("caFile: "+ca+".none"), remote.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the CA file: %v", err)
	}
	if err := load("down", ca+".none", remote.Options{CAFile: ca}); err == nil || !strings.Contains(err.Error(), "refused a redirect") {
		t.Errorf("redirect to plain HTTP: %v", err)
	}
}

func TestLoadDependencies(t *testing.T) {
	r := newRepository(t, false)
	for _, v := range []string{"1.0.0", "1.1.0"} {
		r.add(t, "db", v, "")
	}
	r.add(t, "inoci", "1.0.0", "oci://r.example.com/charts/inoci:1.0.0")
	config := filepath.Join(t.TempDir(), "repositories.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "repositories: [{name: mine, url: '%s'}]\n", r.url()), 0o600); err != nil {
		t.Fatal(err)
	}
	fetch := newWeb(t, remote.Options{})
	fetch.oci = func(ref, version string) ([]byte, error) {
		if !strings.HasPrefix(ref, "oci://r.example.com/charts/") {
			return nil, errors.New("no such repository")
		}
		return tgz(t, "x", files{
			"Chart.yaml":       "apiVersion: v2\nname: " + filepath.Base(ref) + "\nversion: " + strings.Trim(version, "^~") + "\n",
			"templates/t.yaml": "image: org/" + filepath.Base(ref) + ":" + version,
		}), nil
	}
	o := LoadOptions{RepositoryConfig: config, Fetcher: fetch}
	local := files{
		"../local/Chart.yaml":        chartYAML("local", "dependencies: [{name: deep, version: '*', repository: 'file://../deep'}]"),
		"../local/templates/t.yaml":  "image: org/local:1",
		"../deep/Chart.yaml":         chartYAML("deep"),
		"../deep/templates/t.yaml":   "image: org/deep:1",
		"charts/have/Chart.yaml":     chartYAML("have"),
		"charts/have/templates/t.ya": "",
	}
	tests := []struct {
		name         string
		dependencies string
		want         []string
		missing      []string // names and parts of reasons
	}{
		{"by URL", "[{name: db, version: 1.x, repository: 'URL'}]", []string{"org/db:1.1.0"}, nil},
		{"by alias", "[{name: db, version: 1.0.0, repository: '@mine'}]", []string{"org/db:1.0.0"}, nil},
		{"by the other spelling of an alias", "[{name: db, version: 1.0.0, repository: 'alias:mine'}]", []string{"org/db:1.0.0"}, nil},
		{"from a folder, with its own", "[{name: local, version: ^1, repository: 'file://../local'}]", []string{"org/deep:1", "org/local:1"}, nil},
		{"from a registry", "[{name: q, version: 1.5.0, repository: 'oci://r.example.com/charts/'}]", []string{"org/q:1.5.0"}, nil},
		{"from a registry by an index", "[{name: inoci, version: 1.0.0, repository: 'URL'}]", []string{"org/inoci:1.0.0"}, nil},
		{"under two names", "[{name: db, version: 1.x, repository: 'URL', alias: one}, {name: db, version: 1.x, repository: 'URL', alias: two}]", []string{"org/db:1.1.0", "org/db:1.1.0"}, nil},
		{"in two versions", "[{name: db, version: 1.0.0, repository: 'URL', alias: one}, {name: db, version: 1.1.0, repository: 'URL', alias: two}]", []string{"org/db:1.0.0", "org/db:1.1.0"}, nil},
		{"disabled", "[{name: db, version: 1.x, repository: 'URL', condition: extra.enabled}]", nil, nil},
		{"present", "[{name: have, version: 1.x, repository: 'https://never.invalid'}]", nil, nil},
		{"missing, all named", `[{name: db, version: 9.x, repository: 'URL'}, {name: a, version: 1.x, repository: '@gone'},
{name: b, version: 1.x}, {name: c, version: 1.x, repository: 'oci://elsewhere.example.com'},
{name: local, version: 7.x, repository: 'file://../local'}, {name: e, version: 1.x, repository: stable},
{name: f, version: 1.x, repository: 'file://../deep'}, {name: g, version: 1.x, repository: 'file://../gone'}, {name: db, alias: ok, version: 1.x, repository: 'URL'}]`, nil,
			[]string{"db: version 9.x of chart db is not in", "a: no such alias", "b: names no repository", "c: no such repository", "local: holds version 1.2.3, not 7.x", "e: neither a URL", "f: found chart deep there instead", "g: no such file"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "app")
			f := files{
				"Chart.yaml":  chartYAML("app", "dependencies: "+strings.ReplaceAll(tt.dependencies, "URL", r.url())),
				"values.yaml": "extra: {enabled: false}\n",
			}
			for k, v := range local {
				f[k] = v
			}
			folder(t, dir, f)
			before := tree(t, dir)
			c, err := Load(t.Context(), Source{Ref: dir}, o)
			if d := cmp.Diff(before, tree(t, dir)); d != "" {
				t.Errorf("the user's folder changed:\n%s", d)
			}
			if tt.missing != nil {
				checkMissing(t, err, tt.missing)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, raws(render(t, c, RenderOptions{Strict: true}))); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
		})
	}
}

func checkMissing(t *testing.T, err error, want []string) {
	t.Helper()
	var e *DependencyError
	if !errors.As(err, &e) {
		t.Fatalf("error is %v", err)
	}
	if len(e.Missing) != len(want) {
		t.Errorf("%d are missing, want %d: %v", len(e.Missing), len(want), err)
		return
	}
	for i, w := range want {
		name, reason, _ := strings.Cut(w, ": ")
		if m := e.Missing[i]; m.Name != name || !strings.Contains(m.Err.Error(), reason) {
			t.Errorf("missing %s: %v, want %s", m.Name, m.Err, w)
		}
	}
}

// tree lists a folder's files with their contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		all[p] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// lockDigest is what helm dependency update writes.
func lockDigest(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(b))
}

func TestLoadLocked(t *testing.T) {
	r := newRepository(t, false)
	for _, v := range []string{"1.0.0", "1.1.0"} {
		r.add(t, "db", v, "")
	}
	declared := []*helm.Dependency{{Name: "db", Version: "1.x", Repository: r.url()}}
	locked := []*helm.Dependency{{Name: "db", Version: "1.0.0", Repository: r.url()}}
	deps := fmt.Sprintf("dependencies: [{name: db, version: 1.x, repository: '%s'}]\n", r.url())
	lock := fmt.Sprintf("dependencies: [{name: db, version: 1.0.0, repository: '%s'}]\n", r.url())
	v2 := "digest: " + lockDigest(t, [2][]*helm.Dependency{declared, locked}) + "\n"
	v1 := "digest: " + lockDigest(t, map[string][]*helm.Dependency{"dependencies": declared}) + "\n"
	old := "apiVersion: v1\nname: app\nversion: 1.2.3\n"
	tests := []struct {
		name string
		f    files
		want string // version, or empty for an error
	}{
		{"without", files{"Chart.yaml": chartYAML("app", deps)}, "1.1.0"},
		{"locked", files{"Chart.yaml": chartYAML("app", deps), "Chart.lock": lock + v2}, "1.0.0"},
		{"out of date", files{"Chart.yaml": chartYAML("app", deps), "Chart.lock": lock + "digest: sha256:00\n"}, ""},
		{"v1, without", files{"Chart.yaml": old, "requirements.yaml": deps}, "1.1.0"},
		{"v1, locked by Helm 3", files{"Chart.yaml": old, "requirements.yaml": deps, "requirements.lock": lock + v2}, "1.0.0"},
		{"v1, locked by Helm 2", files{"Chart.yaml": old, "requirements.yaml": deps, "requirements.lock": lock + v1}, "1.0.0"},
		{"v1, out of date", files{"Chart.yaml": old, "requirements.yaml": deps, "requirements.lock": lock + "digest: x\n"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, packed := range []bool{false, true} { // an archive is completed too
				ref := folder(t, t.TempDir(), tt.f)
				if packed {
					ref = filepath.Join(t.TempDir(), "a.tgz")
					if err := os.WriteFile(ref, tgz(t, "app", tt.f), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				o := noConfig(t)
				o.Fetcher = newWeb(t, remote.Options{PlainHTTP: []string{strings.TrimPrefix(r.URL, "http://")}})
				c, err := Load(t.Context(), Source{Ref: ref}, o)
				if tt.want == "" {
					checkMissing(t, err, []string{"db: lock file does not match"})
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff([]string{"org/db:" + tt.want}, raws(render(t, c, RenderOptions{Strict: true}))); d != "" {
					t.Errorf("findings (-want +got):\n%s", d)
				}
			}
		})
	}
}

func TestLoadCycle(t *testing.T) {
	dir := folder(t, filepath.Join(t.TempDir(), "app"), files{
		"Chart.yaml":      chartYAML("app", "dependencies: [{name: b, version: '*', repository: 'file://../b'}]"),
		"../b/Chart.yaml": chartYAML("b", "dependencies: [{name: app, version: '*', repository: 'file://../app'}]"),
	})
	if _, err := Load(t.Context(), Source{Ref: dir}, noConfig(t)); err == nil || !strings.Contains(err.Error(), "nest deeper") {
		t.Errorf("error is %v", err)
	}
}

// Errors and the source of a chart tell no credentials, wherever a URL had them.
func TestURLsAreRedacted(t *testing.T) {
	const secret = "hunter2"
	dep := func(repository string) string {
		return folder(t, t.TempDir(), files{"Chart.yaml": chartYAML("app", "dependencies: [{name: db, version: 1.0.0, repository: '"+repository+"'}]")})
	}
	fetch := newWeb(t, remote.Options{})
	oci := LoadOptions{RepositoryConfig: filepath.Join(t.TempDir(), "none"), Fetcher: fetch}
	for _, tt := range []struct {
		name string
		s    Source
	}{
		{"URL of an archive", Source{Ref: "http://u:hunter2@127.0.0.1:1/app-1.0.0.tgz?token=hunter2"}},
		{"malformed URL of an archive", Source{Ref: "http://u:hunter2%zz@127.0.0.1:1/app-1.0.0.tgz"}},
		{"repository", Source{Ref: "app", Repo: "http://u:hunter2@127.0.0.1:1/charts"}},
		{"malformed repository", Source{Ref: "app", Repo: "http://u:hunter2%zz@127.0.0.1:1/charts"}},
		{"registry", Source{Ref: "oci://u:hunter2@127.0.0.1:1/charts/app"}},
		{"dependency", Source{Ref: dep("http://u:hunter2@127.0.0.1:1/charts")}},
		{"malformed dependency", Source{Ref: dep("http://u:hunter2%zz@127.0.0.1:1/charts")}},
		{"dependency in a registry", Source{Ref: dep("oci://u:hunter2@127.0.0.1:1/charts")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(t.Context(), tt.s, oci)
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("error is %v", err)
			}
		})
	}
	fetch.oci = func(string, string) ([]byte, error) {
		return tgz(t, "app", files{"Chart.yaml": chartYAML("app")}), nil
	}
	if c, err := Load(t.Context(), Source{Ref: "oci://u:hunter2@127.0.0.1:1/charts/app"}, oci); err != nil || strings.Contains(c.Source(), secret) {
		t.Errorf("source %q, %v", c.Source(), err)
	}
}

// Nothing outside of a chart's folder is read into it.
func TestLoadStaysInside(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "id_rsa")
	if err := os.WriteFile(outside, []byte("a private key"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := files{"Chart.yaml": chartYAML("app"), "values.yaml": "a: 1", "files/x": "x", "sub/y": "y"}
	for _, tt := range []struct {
		name, link, to, ignore string
		refused                bool
	}{
		{name: "file outside", link: "files/key", to: outside, refused: true},
		{name: "folder outside", link: "files/all", to: filepath.Dir(outside), refused: true},
		{name: "by a relative path", link: "templates/t.yaml", to: "../../../../../../../../../../../../../../" + outside, refused: true},
		{name: "file inside", link: "files/same", to: "x"},
		{name: "folder inside", link: "files/below", to: "../sub"},
		{name: "ignored", link: "files/key", to: outside, ignore: "files/key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t, t.TempDir(), base)
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, tt.link)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, ".helmignore"), []byte(tt.ignore+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(tt.to, filepath.Join(dir, tt.link)); err != nil {
				t.Fatal(err)
			}
			_, err := Load(t.Context(), Source{Ref: dir}, noConfig(t))
			if tt.refused && (err == nil || !strings.Contains(err.Error(), tt.link) || !strings.Contains(err.Error(), "outside")) || !tt.refused && err != nil {
				t.Errorf("error is %v", err)
			}
		})
	}
	// An archive cannot name a chart on this machine either.
	local := folder(t, t.TempDir(), files{"Chart.yaml": chartYAML("db")})
	archive := filepath.Join(t.TempDir(), "app.tgz")
	if err := os.WriteFile(archive, tgz(t, "app", files{"Chart.yaml": chartYAML("app", "dependencies: [{name: db, version: '*', repository: 'file://"+local+"'}]")}), 0o644); err != nil {
		t.Fatal(err)
	}
	var missing *DependencyError
	if _, err := Load(t.Context(), Source{Ref: archive}, noConfig(t)); !errors.As(err, &missing) {
		t.Errorf("archive with a dependency in a folder: %v", err)
	}
}

// A chart's author leads neither to plain HTTP nor to this machine: only hosts
// that the user named are reached so. What was fetched is listed.
func TestLoadNamedHostsOnly(t *testing.T) {
	plain, secure, inner := newRepository(t, false), newRepository(t, true), newRepository(t, true)
	plain.add(t, "db", "1.0.0", "")
	secure.add(t, "db", "1.0.0", "")
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256(plain.files["/charts/db-1.0.0.tgz"]))
	// An index that leads to other hosts, and a redirect.
	inner.files["/charts/away-1.0.0.tgz"] = secure.add(t, "away", "1.0.0", inner.URL+"/charts/away-1.0.0.tgz")
	secure.add(t, "sent", "1.0.0", "")
	secure.files["/charts/sent-1.0.0.tgz"] = []byte("redirect:" + inner.URL + "/charts/away-1.0.0.tgz")

	host := func(r *repository) string { return r.Listener.Addr().String() }
	noTLS := []string{host(secure), host(inner)} // certificates are not the question
	config := filepath.Join(t.TempDir(), "repositories.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "repositories: [{name: p, url: '%s'}, {name: s, url: '%s', insecure_skip_tls_verify: true}]\n", plain.url(), secure.url()), 0o600); err != nil {
		t.Fatal(err)
	}
	top := func(repository string) Source {
		return Source{Ref: folder(t, filepath.Join(t.TempDir(), "app"), files{
			"Chart.yaml": chartYAML("app", "dependencies: [{name: db, version: 1.x, repository: '"+repository+"'}]"),
		})}
	}
	dependency := Fetched{Chart: "db", Version: "1.0.0", Digest: sum, Parent: "app"}
	for _, tt := range []struct {
		name    string
		source  Source
		o       remote.Options
		config  string
		from    string // of the one chart that is fetched
		message string
	}{
		{name: "dependency without TLS", source: top(plain.url()), message: "without TLS"},
		{name: "allowed", source: top(plain.url()), o: remote.Options{PlainHTTP: []string{host(plain)}}, from: plain.url() + "/db-1.0.0.tgz"},
		{name: "in repositories.yaml", source: top(plain.url()), config: config, from: plain.url() + "/db-1.0.0.tgz"},
		{name: "under its alias", source: top("@p"), config: config, from: plain.url() + "/db-1.0.0.tgz"},
		{name: "dependency on this machine", source: top(secure.url()), message: "this machine"},
		{name: "under another name", source: top(strings.Replace(secure.url(), "127.0.0.1", "localhost", 1)), message: "this machine"},
		{name: "link-local", source: top("https://169.254.169.254/charts"), message: "this machine"},
		{name: "named", source: top(secure.url()), o: remote.Options{InsecureSkipTLS: noTLS}, from: secure.url() + "/db-1.0.0.tgz"},
		{name: "named in repositories.yaml", source: top(secure.url()), config: config, from: secure.url() + "/db-1.0.0.tgz"},
		{name: "typed", source: Source{Ref: "db", Repo: plain.url()}, from: plain.url() + "/db-1.0.0.tgz"},
		{name: "typed, one archive", source: Source{Ref: plain.url() + "/db-1.0.0.tgz"}, from: plain.url() + "/db-1.0.0.tgz"},
		{name: "index leads elsewhere", source: Source{Ref: "away", Repo: secure.url()}, config: config, message: "this machine"},
		{name: "redirect leads elsewhere", source: Source{Ref: "sent", Repo: secure.url()}, config: config, message: "this machine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inner.requests = nil
			o := noConfig(t)
			o.Fetcher = newWeb(t, tt.o)
			if tt.config != "" {
				o.RepositoryConfig = tt.config
			}
			c, err := Load(t.Context(), tt.source, o)
			if tt.message != "" {
				if err == nil || !strings.Contains(err.Error(), tt.message) || fault.Hint(err) == "" {
					t.Errorf("error is %v (%s)", err, fault.Hint(err))
				}
				if len(inner.requests) > 0 {
					t.Errorf("asked for %q", inner.requests)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := dependency
			if want.From = tt.from; tt.source.Ref == "db" || strings.HasSuffix(tt.source.Ref, ".tgz") {
				want.Parent = ""
			}
			if d := cmp.Diff([]Fetched{want}, c.Fetched()); d != "" {
				t.Errorf("fetched (-want +got):\n%s", d)
			}
		})
	}
}
