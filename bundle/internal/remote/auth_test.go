package remote_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

// dockerConfig makes a Docker configuration with these credentials (key →
// "user:password") the one of this test.
func dockerConfig(t *testing.T, auths map[string]string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	writeAuths(t, filepath.Join(dir, "config.json"), auths)
}

func writeAuths(t *testing.T, path string, auths map[string]string) {
	t.Helper()
	var entries []string
	for key, auth := range auths {
		entries = append(entries, fmt.Sprintf(`%q:{"auth":%q}`, key, base64.StdEncoding.EncodeToString([]byte(auth))))
	}
	if err := os.WriteFile(path, []byte(`{"auths":{`+strings.Join(entries, ",")+`}}`), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Who may do what, with each way of authentication.
func TestAuth(t *testing.T) {
	secured := regtest.Options{Username: "u", Password: "hunter2"}
	bearer, public := secured, secured
	bearer.Token = true
	public.Token, public.AnonymousPull = true, true
	registries := map[string]*regtest.Registry{
		"basic": start(t, secured), "bearer": start(t, bearer), "public bearer": start(t, public),
	}
	const ok = remote.Kind(-1)
	tests := []struct {
		registry, password string
		pull, push         remote.Kind
		preflight          remote.Kind
	}{
		{"basic", "hunter2", ok, ok, ok},
		{"basic", "hunter2-wrong", remote.Auth, remote.Auth, remote.Auth},
		{"basic", "", remote.Auth, remote.Auth, remote.Auth},
		{"bearer", "hunter2", ok, ok, ok},
		{"bearer", "hunter2-wrong", remote.Auth, remote.Auth, remote.Auth},
		{"bearer", "", remote.Auth, remote.Auth, remote.Auth},
		{"public bearer", "", ok, remote.Auth, remote.Auth},
		{"public bearer", "hunter2", ok, ok, ok},
	}
	for _, tt := range tests {
		t.Run(tt.registry+" "+tt.password, func(t *testing.T) {
			reg := registries[tt.registry]
			data, d := content(1000, 1)
			if _, err := reg.PushBlob(t.Context(), "r", data); err != nil {
				t.Fatal(err)
			}
			if tt.password != "" {
				dockerConfig(t, map[string]string{reg.Host(): "u:" + tt.password})
			}
			c := client(t, remote.Options{}, reg)
			check := func(op string, err error, want remote.Kind) {
				if want == ok {
					if err != nil {
						t.Errorf("%s: %v", op, err)
					}
					return
				}
				if e := wantError(t, err, want); e.Hint == "" {
					t.Errorf("%s: no hint: %v", op, err)
				}
			}
			_, err := pull(t.Context(), c, reg.Host()+"/r", d)
			check("pull", err, tt.pull)
			_, err = c.PushBlob(t.Context(), reg.Host()+"/"+strings.ReplaceAll(tt.registry, " ", "-"), d, source(data))
			check("push", err, tt.push)
			check("preflight", c.Preflight(t.Context(), reg.Host()+"/r"), tt.preflight)
		})
	}
}

// A user that is known and may not push is denied, not unknown.
func TestPreflightDenied(t *testing.T) {
	reg := start(t, regtest.Options{Token: true, Username: "u", Password: "hunter2"})
	c := client(t, remote.Options{Credentials: map[string]remote.Credential{reg.Host(): {Username: "u", Password: "hunter2"}}}, reg)
	tests := []struct {
		name string
		do   regtest.Injector
		kind remote.Kind
	}{
		{"401 with known credentials", regtest.WithoutHeader("Authorization"), remote.Denied},
		{"403", regtest.Status(403), remote.Denied},
		{"404", regtest.Status(404), remote.NotFound},
		{"405", regtest.Status(405), remote.Protocol},
		{"location elsewhere", regtest.Answer(202, "text/plain", "", "Location", "https://evil.example/upload?token=hunter2"), remote.Protocol},
		{"no location", regtest.Answer(202, "text/plain", ""), remote.Protocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reg.ClearFaults()
			reg.Inject(regtest.Fault{Method: "POST", Do: tt.do})
			wantError(t, c.Preflight(t.Context(), reg.Host()+"/team/app"), tt.kind)
		})
	}
	reg.ClearFaults()
	reg.Inject(regtest.Fault{Class: regtest.Base, Do: regtest.Answer(200, "text/html", "<html>")})
	if e := wantError(t, c.Preflight(t.Context(), reg.Host()+"/r"), remote.Protocol); !strings.Contains(e.Error(), "HTML") {
		t.Errorf("error does not mention HTML: %v", e)
	}
	reg.ClearFaults()
	reg.Log.Reset()
	if err := c.Preflight(t.Context(), reg.Host()+"/r"); err != nil {
		t.Error(err)
	}
	begun, cancelled := 0, 0
	for _, r := range reg.Log.Requests() {
		if r.Method == "POST" && r.Status == 202 {
			begun++
		}
		if r.Method == "DELETE" && r.Status == 204 {
			cancelled++
		}
	}
	if begun != 1 || cancelled != 1 {
		t.Errorf("%d uploads begun, %d cancelled, want 1 of each", begun, cancelled)
	}
}

// Where credentials may stand, and which of several win.
func TestCredentialSources(t *testing.T) {
	reg := start(t, regtest.Options{Username: "u", Password: "hunter2"})
	h := reg.Host()
	tests := []struct {
		name     string
		auths    map[string]string
		explicit map[string]remote.Credential
		podman   bool
		fails    bool
	}{
		{name: "host", auths: map[string]string{h: "u:hunter2"}},
		{name: "URL", auths: map[string]string{"https://" + h + "/v1/": "u:hunter2"}},
		{name: "repository", auths: map[string]string{h: "x:y", h + "/team/a/app": "u:hunter2"}},
		{name: "namespace", auths: map[string]string{h: "x:y", h + "/team": "u:hunter2"}},
		{name: "namespace before host", auths: map[string]string{h: "u:hunter2", h + "/team/a": "x:y"}, fails: true},
		{name: "explicit wins", auths: map[string]string{h: "x:y"}, explicit: map[string]remote.Credential{h: {Username: "u", Password: "hunter2"}}},
		{name: "explicit for another host", explicit: map[string]remote.Credential{"other.example": {Username: "u", Password: "hunter2"}}, fails: true},
		{name: "REGISTRY_AUTH_FILE", auths: map[string]string{h: "u:hunter2"}, podman: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.podman {
				file := filepath.Join(t.TempDir(), "auth.json")
				writeAuths(t, file, tt.auths)
				t.Setenv("REGISTRY_AUTH_FILE", file)
			} else {
				dockerConfig(t, tt.auths)
			}
			c := client(t, remote.Options{Credentials: tt.explicit}, reg)
			err := c.Preflight(t.Context(), h+"/team/a/app")
			if tt.fails {
				wantError(t, err, remote.Auth)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// A credential helper that fails is named as the cause.
func TestCredentialHelperFails(t *testing.T) {
	reg := start(t, regtest.Options{Username: "u", Password: "hunter2"})
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	config := fmt.Sprintf(`{"credHelpers":{%q:"does-not-exist"}}`, reg.Host())
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	e := wantError(t, client(t, remote.Options{}, reg).Preflight(t.Context(), reg.Host()+"/r"), remote.Auth)
	if !strings.Contains(e.Error(), "docker-credential-does-not-exist") {
		t.Errorf("helper is not named: %v", e)
	}
}

// One token serves a push with all its requests, and a second blob.
func TestTokensAreReused(t *testing.T) {
	reg := start(t, regtest.Options{Token: true, Username: "u", Password: "hunter2"})
	c := client(t, remote.Options{Credentials: map[string]remote.Credential{reg.Host(): {Username: "u", Password: "hunter2"}}}, reg)
	for seed := range uint64(3) {
		data, d := content(1000, seed)
		if _, err := c.PushBlob(t.Context(), reg.Host()+"/r", d, source(data)); err != nil {
			t.Fatal(err)
		}
	}
	if n := reg.Tokens(); n != 1 {
		t.Errorf("%d tokens were issued, want 1", n)
	}
	reg.Inject(regtest.Fault{Class: regtest.Token, Times: 2, Do: regtest.Status(503)})
	if err := c.Preflight(t.Context(), reg.Host()+"/other"); err != nil {
		t.Errorf("with a token server that stumbles: %v", err)
	}
}

// Downloads may be redirected; credentials never go along.
func TestRedirect(t *testing.T) {
	options := regtest.Options{TLS: true, Username: "u", Password: "hunter2"}
	reg := start(t, options)
	storage := start(t, regtest.Options{TLS: true})
	plain := start(t, regtest.Options{})
	data, d := content(1000, 1)
	for _, r := range []*regtest.Registry{reg, storage, plain} {
		if _, err := r.PushBlob(t.Context(), "r", data); err != nil {
			t.Fatal(err)
		}
	}
	c := client(t, remote.Options{
		Credentials: map[string]remote.Credential{reg.Host(): {Username: "u", Password: "hunter2"}},
	}, reg, storage, plain)
	path := "/v2/r/blobs/" + d.Digest.String() + "?X-Signature=hunter2"
	redirect := func(to string) regtest.Fault {
		return regtest.Fault{Method: "GET", Class: regtest.Blob, Match: authorized, Times: 1, Do: regtest.Status(307, "Location", to)}
	}

	reg.Inject(redirect(storage.URL() + path))
	if _, err := pull(t.Context(), c, reg.Host()+"/r", d); err != nil {
		t.Errorf("redirect to storage: %v", err)
	}
	for _, r := range storage.Log.Requests() {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s got the credentials", r.Method, r.Path)
		}
	}
	if n := storage.Log.Count("GET", ""); n != 1 {
		t.Errorf("%d requests at the storage, want 1", n)
	}

	for _, to := range []string{plain.URL() + path, strings.Replace(storage.URL(), "//", "//x:hunter2@", 1) + path} {
		reg.Inject(redirect(to))
		_, err := pull(t.Context(), c, reg.Host()+"/r", d)
		wantError(t, err, remote.Protocol)
	}
	if n := plain.Log.Count("", ""); n != 0 {
		t.Errorf("%d requests left HTTPS", n)
	}

	// An upload is neither redirected to another host nor located there.
	storage.Log.Reset()
	for _, do := range []regtest.Injector{
		regtest.Status(307, "Location", storage.URL()+"/v2/r/blobs/uploads/"),
		regtest.Answer(202, "text/plain", "", "Location", storage.URL()+"/v2/r/blobs/uploads/1?_state=hunter2"),
	} {
		reg.Inject(regtest.Fault{Method: "POST", Match: authorized, Times: 1, Do: do})
		_, d := content(1000, 2)
		_, err := c.PushBlob(t.Context(), reg.Host()+"/r", d, source(data))
		wantError(t, err, remote.Protocol)
	}
	// The storage fails after a redirect: the error names it.
	reg.Inject(redirect(storage.URL() + path))
	storage.Inject(regtest.Fault{Class: regtest.Blob, Do: regtest.Status(403)})
	_, err := pull(t.Context(), c, reg.Host()+"/r", d)
	if e := wantError(t, err, remote.Denied); e.Host != storage.Host() {
		t.Errorf("host is %s, want the storage %s: %v", e.Host, storage.Host(), e)
	}
	if n := storage.Log.Count("POST", "") + storage.Log.Count("PUT", ""); n != 0 {
		t.Errorf("%d uploads left their host", n)
	}
}

func authorized(r *http.Request) bool { return r.Header.Get("Authorization") != "" }

// A registry behind a proxy may get its own scheme wrong; the upload stays on HTTPS.
func TestLocationScheme(t *testing.T) {
	reg := start(t, regtest.Options{TLS: true})
	reg.Inject(regtest.Fault{Method: "POST", Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Header.Set("X-Forwarded-Proto", "http")
		next.ServeHTTP(w, r)
	}})
	c := client(t, remote.Options{}, reg)
	data, d := content(1000, 1)
	if _, err := c.PushBlob(t.Context(), reg.Host()+"/r", d, source(data)); err != nil {
		t.Error(err)
	}
}

// An authentication realm that is not HTTPS gets no password.
func TestRealm(t *testing.T) {
	evil := start(t, regtest.Options{})
	reg := start(t, regtest.Options{TLS: true})
	challenge := fmt.Sprintf(`Bearer realm="%s/token?x=hunter2",service="s"`, evil.URL())
	reg.Inject(regtest.Fault{Do: regtest.Status(401, "WWW-Authenticate", challenge)})
	c := client(t, remote.Options{Credentials: map[string]remote.Credential{reg.Host(): {Username: "u", Password: "hunter2"}}}, reg, evil)
	wantError(t, c.Preflight(t.Context(), reg.Host()+"/r"), remote.Protocol)
	if n := evil.Log.Count("", ""); n != 0 {
		t.Errorf("%d requests reached the realm", n)
	}
}

// Whoever a download is redirected to may ask for credentials, and gets none,
// whatever realm it names.
func TestRedirectedChallenge(t *testing.T) {
	for name, challenge := range map[string]string{"basic": `Basic realm="x"`, "bearer": `Bearer realm="%s/token",service="s"`} {
		t.Run(name, func(t *testing.T) {
			reg := start(t, regtest.Options{TLS: true, Username: "u", Password: "hunter2"})
			evil := start(t, regtest.Options{TLS: true})
			data, d := content(1000, 1)
			if _, err := reg.PushBlob(t.Context(), "r", data); err != nil {
				t.Fatal(err)
			}
			c := client(t, remote.Options{Credentials: map[string]remote.Credential{
				reg.Host(): {Username: "u", Password: "hunter2"}, evil.Host(): {Username: "u", Password: "hunter2"},
			}}, reg, evil)
			reg.Inject(regtest.Fault{Method: "GET", Class: regtest.Blob, Do: regtest.Status(307, "Location", evil.URL()+"/v2/r/blobs/"+d.Digest.String())})
			evil.Inject(regtest.Fault{Do: regtest.Status(401, "WWW-Authenticate", strings.ReplaceAll(challenge, "%s", evil.URL()))})
			_, err := pull(t.Context(), c, reg.Host()+"/r", d)
			wantError(t, err, remote.Auth)
			for _, r := range evil.Log.Requests() {
				if r.Header.Get("Authorization") != "" || r.Path == "/token" {
					t.Errorf("%s %s was asked for", r.Method, r.Path)
				}
			}
			if evil.Log.Count("", "") == 0 {
				t.Error("the redirect was not followed: the test shows nothing")
			}
		})
	}
}

// A realm on another host is what Docker Hub has, and gets the password over
// HTTPS; where it redirects to does not.
func TestRealmElsewhere(t *testing.T) {
	reg := start(t, regtest.Options{TLS: true})
	realm := start(t, regtest.Options{TLS: true})
	evil := start(t, regtest.Options{TLS: true})
	cred := map[string]remote.Credential{reg.Host(): {Username: "u", Password: "hunter2"}}
	c := client(t, remote.Options{Credentials: cred}, reg, realm, evil)
	challenge := regtest.Status(401, "WWW-Authenticate", `Bearer realm="`+realm.URL()+`/token",service="s"`)
	anonymous := func(r *http.Request) bool { return !authorized(r) }
	reg.Inject(regtest.Fault{Match: anonymous, Do: challenge})
	realm.Inject(regtest.Fault{Path: "/token", Times: 1, Do: regtest.Answer(200, "application/json", `{"token":"t"}`)})
	if err := c.Preflight(t.Context(), reg.Host()+"/r"); err != nil {
		t.Error(err)
	}
	if n := realm.Log.Count("", ""); n != 1 {
		t.Errorf("the realm was asked %d times", n)
	}
	realm.Inject(regtest.Fault{Path: "/token", Do: regtest.Status(307, "Location", evil.URL()+"/token")})
	evil.Inject(regtest.Fault{Do: regtest.Answer(200, "application/json", `{"token":"t"}`)})
	if err := client(t, remote.Options{Credentials: cred}, reg, realm, evil).Preflight(t.Context(), reg.Host()+"/other"); err != nil {
		t.Error(err)
	}
	for _, r := range evil.Log.Requests() {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s got the credentials", r.Method, r.Path)
		}
	}
}

// The next page of a list is not fetched from another host.
func TestNextPageElsewhere(t *testing.T) {
	for _, secure := range []bool{true, false} {
		reg := start(t, regtest.Options{TLS: true})
		evil := start(t, regtest.Options{TLS: secure})
		c := client(t, remote.Options{}, reg, evil)
		link := "<" + evil.URL() + `/v2/r/tags/list?n=hunter2>; rel="next"`
		reg.Inject(regtest.Fault{Do: regtest.Answer(200, "application/json", `{"tags":["1"]}`, "Link", link)})
		_, err := c.Tags(t.Context(), reg.Host()+"/r")
		wantError(t, err, remote.Protocol)
		if n := evil.Log.Count("", ""); n != 0 {
			t.Errorf("TLS %v: the other host was asked %d times", secure, n)
		}
	}
}

// A list whose empty pages always have a next one ends all the same.
func TestEndlessPages(t *testing.T) {
	reg := start(t, regtest.Options{})
	c := client(t, remote.Options{}, reg)
	reg.Inject(regtest.Fault{Class: regtest.Tags, Do: regtest.Answer(200, "application/json", `{"tags":[]}`, "Link", `</v2/r/tags/list?n=1>; rel="next"`)})
	_, err := c.Tags(t.Context(), reg.Host()+"/r")
	wantError(t, err, remote.Protocol)
	_, d := content(10, 1)
	path := "/v2/r/referrers/" + d.Digest.String()
	reg.Inject(regtest.Fault{Path: "/referrers/", Do: regtest.Answer(200, "application/vnd.oci.image.index.v1+json",
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`, "Link", `<`+path+`>; rel="next"`)})
	_, err = c.Referrers(t.Context(), reg.Host()+"/r", d.Digest)
	wantError(t, err, remote.Protocol)
}
