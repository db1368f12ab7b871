package remote

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// Which files are read, in which order.
func TestLoginFiles(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		want []string
	}{
		{"root without a session", nil, []string{
			"/h/.docker/config.json", "/run/containers/0/auth.json", "/h/.config/containers/auth.json", "/h/.config/helm/registry/config.json",
		}},
		{"session", map[string]string{"XDG_RUNTIME_DIR": "/run/user/7", "XDG_CONFIG_HOME": "/c"}, []string{
			"/h/.docker/config.json", "/run/user/7/containers/auth.json", "/c/containers/auth.json", "/c/helm/registry/config.json",
		}},
		{"named", map[string]string{"DOCKER_CONFIG": "/d", "REGISTRY_AUTH_FILE": "/a.json", "HELM_REGISTRY_CONFIG": "/r.json", "HELM_CONFIG_HOME": "/hc"}, []string{
			"/d/config.json", "/a.json", "/h/.config/containers/auth.json", "/r.json",
		}},
		{"helm's folder", map[string]string{"HELM_CONFIG_HOME": "/hc"}, []string{
			"/h/.docker/config.json", "/run/containers/0/auth.json", "/h/.config/containers/auth.json", "/hc/registry/config.json",
		}},
	} {
		if got := loginFiles(func(k string) string { return tt.env[k] }, "/h", 0); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// One login has many spellings; of several, the most specific one counts.
func TestFindLogin(t *testing.T) {
	const b64 = `{"auth":"dTpw"}` // u:p
	for _, tt := range []struct {
		name, file, host, path string
		want                   string // user, or token
		fails                  string
	}{
		{"host", `{"auths":{"r.example":` + b64 + `}}`, "r.example", "a/b", "u", ""},
		{"case", `{"auths":{"R.Example":` + b64 + `}}`, "r.example", "a/b", "u", ""},
		{"port", `{"auths":{"r.example:5000":` + b64 + `}}`, "r.example", "a/b", "", ""},
		{"URL", `{"auths":{"https://r.example/v2/":` + b64 + `}}`, "r.example", "a/b", "u", ""},
		{"without scheme", `{"auths":{"r.example/v1/":` + b64 + `}}`, "r.example", "a/b", "u", ""},
		{"namespace", `{"auths":{"r.example/a":` + b64 + `,"r.example":{"username":"x","password":"y"}}}`, "r.example", "a/b", "u", ""},
		{"repository", `{"auths":{"r.example/a":{"username":"x"},"r.example/a/b":` + b64 + `}}`, "r.example", "a/b", "u", ""},
		{"no part of a name", `{"auths":{"r.example/a":` + b64 + `}}`, "r.example", "ab/c", "", ""},
		{"Docker Hub by Docker", `{"auths":{"https://index.docker.io/v1/":` + b64 + `}}`, "registry-1.docker.io", "library/nginx", "u", ""},
		{"Docker Hub by Podman", `{"auths":{"docker.io":` + b64 + `}}`, "registry-1.docker.io", "library/nginx", "u", ""},
		{"Docker Hub by both", `{"auths":{"docker.io":{"username":"x"},"https://index.docker.io/v1/":` + b64 + `}}`, "registry-1.docker.io", "library/nginx", "u", ""},
		{"Docker Hub, a namespace", `{"auths":{"docker.io/acme":` + b64 + `}}`, "registry-1.docker.io", "acme/app", "u", ""},
		{"plain", `{"auths":{"r.example":{"username":"u","password":"p"}}}`, "r.example", "", "u", ""},
		{"token", `{"auths":{"r.example":{"identitytoken":"t"}}}`, "r.example", "", "t", ""},
		{"empty entry", `{"auths":{"r.example":{}}}`, "r.example", "", "", ""},
		{"empty file", ``, "r.example", "", "", ""},
		{"no JSON", `auths: {}`, "r.example", "", "", "config.json: "},
		{"no base64", `{"auths":{"r.example":{"auth":"%%"}}}`, "r.example", "", "", "login for r.example: "},
		{"no user", `{"auths":{"r.example":{"auth":"dXA="}}}`, "r.example", "", "", "not user:password"},
		{"another's is broken", `{"auths":{"x.example":{"auth":"%%"},"r.example":` + b64 + `}}`, "r.example", "", "u", ""},
	} {
		name := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(name, []byte(tt.file), 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := readLogins(name)
		var cred auth.Credential
		if err == nil {
			cred, err = all.find(t.Context(), tt.host, tt.path, time.Minute)
		}
		if tt.fails != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if got := cred.Username + cred.RefreshToken; err != nil || got != tt.want {
			t.Errorf("%s: found %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
	for _, name := range []string{"/nonexistent/x", t.TempDir()} {
		if all, err := readLogins(name); err != nil || all.Auths != nil {
			t.Errorf("%s: %v, %v", name, all, err)
		}
	}
	if _, err := readLogins("/dev/zero"); err == nil {
		t.Error("/dev/zero is read")
	}
}

// A helper is asked for the host alone, and its answers of all kinds are borne.
func TestHelper(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	helper := func(name, script string) {
		if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	helper("good", `read -r server; echo "{\"ServerURL\":\"$server\",\"Username\":\"$server\",\"Secret\":\"p\"}"`)
	helper("token", `cat >/dev/null; echo '{"Username":"<token>","Secret":"t"}'`)
	helper("none", `echo 'credentials not found in native keychain'; exit 1`)
	helper("broken", `echo 'vault is sealed' >&2; exit 3`)
	helper("garbage", `head -c 100 /dev/urandom; echo hunter2`)
	helper("endless", `cat /dev/zero`)
	helper("hangs", `exec sleep 1000`)
	for _, tt := range []struct {
		helper, host string
		want, fails  string
	}{
		{"good", "r.example:5000", "r.example:5000", ""},
		{"good", "registry-1.docker.io", "https://index.docker.io/v1/", ""},
		{"token", "r.example", "t", ""},
		{"none", "r.example", "file", ""},
		{"broken", "r.example", "", "docker-credential-broken: exit status 3: vault is sealed"},
		{"garbage", "r.example", "", "docker-credential-garbage does not answer with JSON"},
		{"endless", "r.example", "", "docker-credential-endless writes more than 1 MiB"},
		{"hangs", "r.example", "", "docker-credential-hangs did not answer within 200ms"},
		{"gone", "r.example", "", "docker-credential-gone: executable file not found"},
	} {
		for _, file := range []logins{{CredsStore: tt.helper}, {CredHelpers: map[string]string{tt.host: tt.helper}, CredsStore: "gone"}} {
			file.Auths = map[string]login{tt.host: {Username: "file", Password: "p"}}
			limit := time.Minute
			if tt.helper == "hangs" {
				limit = 200 * time.Millisecond
			}
			cred, err := file.find(t.Context(), tt.host, "a/b", limit)
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%s: %v", tt.helper, err)
				}
				continue
			}
			if got := cred.Username + cred.RefreshToken; err != nil || got != tt.want {
				t.Errorf("%s for %s: %q, %v; want %q", tt.helper, tt.host, got, err, tt.want)
			}
		}
	}
}

func FuzzLogins(f *testing.F) {
	for _, s := range []string{`{"auths":{"r.example":{"auth":"dTpw"}}}`, `{"auths":{"https://index.docker.io/v1/":{}}}`, `{"auths":{"":{"auth":":"},"/":{}}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var all logins
		if json.Unmarshal([]byte(s), &all) != nil {
			return
		}
		all.CredsStore, all.CredHelpers = "", nil
		_, _ = all.find(t.Context(), "r.example", "a/b", time.Second) // whatever it finds, it ends
	})
}
