package bundle

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"bundle/bundle/internal/trust"
	"bundle/testdata/regtest"
)

// A tokened registry issues bearer tokens that last for two seconds.
type tokened struct {
	*regtest.Registry
	issuer       *regtest.Registry // itself, or the one behind it
	certificates []byte            // of both
}

func startTokened(t *testing.T, o regtest.Options) tokened {
	t.Helper()
	o.TLS, o.Token, o.TokenTTL, o.Username, o.Password = true, true, 2*time.Second, "u", "p"
	reg, err := regtest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	return tokened{reg, reg, reg.CA}
}

// startTokenedProcess starts docker-registry, whose token server is at another
// address.
func startTokenedProcess(t *testing.T) tokened {
	t.Helper()
	back, err := regtest.StartProcess(regtest.Options{
		TLS: true, Token: true, TokenTTL: 2 * time.Second, Username: "u", Password: "p",
	})
	if errors.Is(err, regtest.ErrNoProcess) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { back.Close() })
	front, err := regtest.StartFront(back, regtest.Options{TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close() })
	return tokened{front, back, bytes.Join([][]byte{front.CA, back.CA}, nil)}
}

// options reach it.
func (r tokened) options(t *testing.T) RegistryOptions {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, r.certificates, 0o600); err != nil {
		t.Fatal(err)
	}
	return RegistryOptions{CAFile: ca, Credentials: map[string]Credential{r.Host(): {Username: "u", Password: "p"}}, Retry: patient}
}

// expire has a request wait until its token has expired, unless that came with
// no request like it before: a token that expires before its first use is none.
func (r tokened) expire(f regtest.Fault) {
	var mu sync.Mutex
	seen := make(map[string]bool)
	match := f.Match
	f.Match = func(q *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		token := q.Header.Get("Authorization")
		old := seen[token]
		seen[token] = token != ""
		return old && (match == nil || match(q))
	}
	f.Times, f.Do = 1, regtest.ExpireToken()
	r.Inject(f)
}

// renewed requires that so many requests met an expired token and that others
// were issued.
func (r tokened) renewed(t *testing.T, want int) {
	t.Helper()
	n := 0
	for _, q := range r.Log.Requests() {
		if q.Status == http.StatusUnauthorized && q.Header.Get("Authorization") != "" {
			n++
		}
	}
	if n < want || r.issuer.Tokens() <= n {
		t.Errorf("%d requests met an expired token, want %d; %d tokens were issued", n, want, r.issuer.Tokens())
	}
}

func ranged(r *http.Request) bool { return r.Header.Get("Range") != "" }

// Tokens that expire while an export runs are renewed: where a blob begins, and
// where one goes on after a reset.
func TestExportTokenExpires(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) tokened{
		"distribution 3":         func(t *testing.T) tokened { return startTokened(t, regtest.Options{}) },
		"distribution 3, HTTP/2": func(t *testing.T) tokened { return startTokened(t, regtest.Options{HTTP2: true}) },
		"docker-registry 2.8":    startTokenedProcess,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pub := start(t)
			pushImage(t, pub.Registry, "acme/a:1", regtest.Image{Layers: []regtest.Layer{{Size: 200_000, Seed: 1}, {Size: 1_000_000, Seed: 2}, {Size: 100_000, Seed: 3}}})
			cut := layerOf(t, pub.Registry, "acme/a:1", 1)
			pub.Inject(regtest.Fault{Method: "GET", Path: cut.Encoded(), Times: 1, Do: regtest.Reset(400_000)})
			pub.expire(regtest.Fault{Method: "GET", Class: regtest.Blob, Match: ranged})
			pub.expire(regtest.Fault{Method: "GET", Class: regtest.Blob})
			p := &watcher{t: t}
			r := mustExport(t, ExportOptions{
				Images: []string{pub.Host() + "/acme/a:1"}, Unsigned: true, NoReferrers: []string{AllRegistries}, Jobs: 1,
				Output: filepath.Join(t.TempDir(), "x.tar"), Registry: pub.options(t), Progress: p,
			})
			if _, err := Verify(context.Background(), r.Output, trust.TrustAnyone(), nil); err != nil {
				t.Error(err)
			}
			pub.renewed(t, 2)
			p.complete("fetching")
		})
	}
}

// The same for an import: at uploads, whole and in chunks, where a broken one
// goes on, and at manifests.
func TestImportTokenExpires(t *testing.T) {
	t.Parallel()
	file, images := carriedApp(t)
	for name, tt := range map[string]struct {
		start func(t *testing.T) tokened
		chunk int64
	}{
		"distribution 3, in chunks": {func(t *testing.T) tokened { return startTokened(t, regtest.Options{}) }, 20_000},
		"distribution 3, HTTP/2":    {func(t *testing.T) tokened { return startTokened(t, regtest.Options{HTTP2: true}) }, 0},
		"docker-registry 2.8":       {startTokenedProcess, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := tt.start(t)
			method := "PUT"
			if tt.chunk > 0 {
				method = "PATCH"
			}
			reg.Inject(regtest.Fault{Method: method, Class: regtest.Upload, Times: 1, Do: regtest.ResetUpload(15_000)})
			reg.expire(regtest.Fault{Method: method, Class: regtest.Upload})
			reg.expire(regtest.Fault{Method: "PUT", Class: regtest.Manifest})
			p := &watcher{t: t}
			o := onto(reg.Registry, trust.TrustAnyone())
			o.RegistryOptions, o.ChunkSize, o.Progress, o.Jobs = reg.options(t), tt.chunk, p, 2
			mustImport(t, file, o)
			reg.renewed(t, 2)
			reg.ClearFaults()
			for ref, d := range images {
				holds(t, reg.Registry, "apps/"+ref, d)
			}
			p.complete("pushing")
		})
	}
}
