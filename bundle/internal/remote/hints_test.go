package remote_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

// Refusals whose cause is known say what to do.
func TestHints(t *testing.T) {
	data, d := content(100, 1)
	push := func(c *remote.Client, repo string) error {
		_, err := c.PushBlob(t.Context(), repo, d, source(data))
		return err
	}
	manifest := func(config string, subject bool) func(*remote.Client, string) error {
		return func(c *remote.Client, repo string) error {
			m := ocispec.Manifest{Config: ocispec.Descriptor{MediaType: config, Digest: d.Digest, Size: d.Size}, Layers: []ocispec.Descriptor{}}
			if subject {
				m.Subject = &ocispec.Descriptor{MediaType: ociManifest, Digest: digest.FromString("x"), Size: 1}
			}
			desc, raw := image(t, m)
			return c.PushManifest(t.Context(), repo, "1", desc, raw)
		}
	}
	preflight := func(c *remote.Client, repo string) error { return c.Preflight(t.Context(), repo) }
	any := func(do regtest.Injector) regtest.Fault { return regtest.Fault{Do: do} }
	put := func(do regtest.Injector) regtest.Fault {
		return regtest.Fault{Method: "PUT", Class: regtest.Manifest, Do: do}
	}
	for _, tt := range []struct {
		name, repo string
		o          regtest.Options
		password   string
		fault      regtest.Fault
		do         func(*remote.Client, string) error
		message    string
		hint       string
	}{
		{"token server refuses the name", "a/b/c", regtest.Options{Token: true}, "hunter2", regtest.Fault{Path: "/token", Do: regtest.Status(400)}, preflight,
			"token server http://HOST/token: status 400 Bad Request", "does not take the name of the repository, HOST/a/b/c: too long, too deep (3 parts)"},
		{"too deep", "a/b/c", regtest.Options{Username: "u", Password: "hunter2"}, "hunter2", regtest.Fault{Method: "POST", Do: regtest.Status(401)}, preflight,
			"status 401", "do not permit a push to HOST/a/b/c; ask for that right, or use others;\nor its path of 3 parts is too deep"},
		{"not deep", "a/b", regtest.Options{Username: "u", Password: "hunter2"}, "hunter2", regtest.Fault{Method: "POST", Do: regtest.Status(403)}, preflight,
			"status 403", "do not permit a push to HOST/a/b; ask for that right, or use others"},
		{"wrong password", "a", regtest.Options{Username: "u", Password: "hunter2"}, "hunter2x", regtest.Fault{Path: "/none"}, preflight,
			"status 401", "the user name or the password for HOST is wrong, or has expired"},
		{"no password", "a", regtest.Options{Username: "u", Password: "hunter2"}, "", regtest.Fault{Path: "/none"}, preflight,
			"demands credentials", "log in to HOST with docker login, podman login or helm registry login, or give --username NAME --password-stdin"},
		{"own name", "a", regtest.Options{}, "", regtest.Fault{Method: "POST", Do: regtest.Answer(202, "", "", "Location", "https://registry.example:5000/v2/a/blobs/uploads/1")}, push,
			"refused an upload location on another host: registry.example:5000", "if registry.example:5000 is the name that the registry has for itself: --registry registry.example:5000, in place of HOST"},
		{"body too large", "a", regtest.Options{}, "", regtest.Fault{Method: "PUT", Class: regtest.Upload, Do: regtest.Status(413)}, push, "status 413", "--chunk-size 50M"},
		{"OCI types only", "a", regtest.Options{}, "", put(regtest.Status(415)), manifest(ocispec.MediaTypeImageConfig, false), "status 415", "some take OCI types only, and not Docker's"},
		{"no charts", "a", regtest.Options{}, "", put(regtest.Status(400)), manifest("application/vnd.cncf.helm.config.v1+json", false), "status 400", "--skip-charts does not try"},
		{"no charts, said with 404", "a", regtest.Options{}, "", put(regtest.Status(404)), manifest("application/vnd.cncf.helm.config.v1+json", false), "status 404", "--skip-charts does not try"},
		{"no referrers", "a", regtest.Options{}, "", put(regtest.Status(400)), manifest(ocispec.MediaTypeEmptyJSON, true), "status 400", "--no-referrers"},
		{"no artifacts", "a", regtest.Options{}, "", put(regtest.Status(400)), manifest("application/vnd.wasm.config.v0+json", false), "status 400", "artifacts with a config of type application/vnd.wasm.config.v0+json"},
		{"quota", "a", regtest.Options{}, "", any(regtest.Status(403)), push, "status 403", "or for more room where a quota is the cause"},
		{"redirect to a file", "a", regtest.Options{}, "", regtest.Fault{Method: "GET", Do: regtest.Status(307, "Location", "file:///etc/passwd")},
			func(c *remote.Client, repo string) error { _, _, err := c.Resolve(t.Context(), repo+":1"); return err }, "refused to go on to file:///etc/passwd", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reg := start(t, tt.o)
			reg.Inject(tt.fault)
			o := remote.Options{}
			if tt.password != "" {
				o.Credentials = map[string]remote.Credential{reg.Host(): {Username: "u", Password: tt.password}}
			}
			err := tt.do(client(t, o, reg), reg.Host()+"/"+tt.repo)
			var e *remote.Error
			if e = asError(t, err); e == nil {
				return
			}
			named := func(s string) string { return strings.ReplaceAll(s, reg.Host(), "HOST") }
			if !strings.Contains(named(e.Error()), tt.message) || !strings.Contains(named(e.Hint), tt.hint) || tt.name == "not deep" && strings.Contains(e.Hint, "deep") {
				t.Errorf("%s\n  hint: %s", named(e.Error()), named(e.Hint))
			}
		})
	}
}

func asError(t *testing.T, err error) *remote.Error {
	t.Helper()
	e, ok := err.(*remote.Error)
	if !ok {
		t.Errorf("error is %v", err)
	}
	return e
}

// A registry on this machine may have its token server there, under another name.
func TestLocalRealm(t *testing.T) {
	reg := start(t, regtest.Options{Token: true, Username: "u", Password: "hunter2"})
	_, port, _ := strings.Cut(reg.Host(), ":")
	local := "localhost:" + port // the realm says 127.0.0.1
	c := client(t, remote.Options{
		PlainHTTP:   []string{local},
		Credentials: map[string]remote.Credential{local: {Username: "u", Password: "hunter2"}},
	}, reg)
	if err := c.Preflight(t.Context(), local+"/r"); err != nil {
		t.Error(err)
	}
}
