package remote

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// loginFiles lists the files that logins are read from, the first that has one
// for a registry wins: those of docker login, of podman login and skopeo login
// (containers-auth.json(5)), and of helm registry login.
func loginFiles(env func(string) string, home string, uid int) []string {
	config := cmp.Or(env("XDG_CONFIG_HOME"), filepath.Join(home, ".config"))
	runtime := env("XDG_RUNTIME_DIR")
	if runtime == "" && uid >= 0 {
		runtime = filepath.Join("/run/containers", strconv.Itoa(uid)) // of root, and of who logs in without a session
	} else {
		runtime = filepath.Join(runtime, "containers")
	}
	return []string{
		filepath.Join(cmp.Or(env("DOCKER_CONFIG"), filepath.Join(home, ".docker")), "config.json"),
		cmp.Or(env("REGISTRY_AUTH_FILE"), filepath.Join(runtime, "auth.json")),
		filepath.Join(config, "containers", "auth.json"),
		cmp.Or(env("HELM_REGISTRY_CONFIG"), filepath.Join(cmp.Or(env("HELM_CONFIG_HOME"), filepath.Join(config, "helm")), "registry", "config.json")),
	}
}

// logins are one file of logins, in the format of Docker.
type logins struct {
	Auths       map[string]login  `json:"auths"`
	CredsStore  string            `json:"credsStore"`  // helper for every registry
	CredHelpers map[string]string `json:"credHelpers"` // and for some
}

// login is one entry of such a file.
type login struct {
	Auth          string `json:"auth"` // base64 of user:password
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// maxLogins is the size up to which a file of logins is read, in bytes.
const maxLogins = 4 << 20

// readLogins reads a file of logins; one that is not there is empty.
func readLogins(name string) (*logins, error) {
	all := new(logins)
	st, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), err == nil && st.IsDir():
		return all, nil // another user's, or none
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", name)
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrPermission) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxLogins+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxLogins {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxLogins>>20)
	}
	if len(strings.TrimSpace(string(b))) == 0 {
		return all, nil
	}
	if err := json.Unmarshal(b, all); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return all, nil
}

// find returns the login for a repository, empty where there is none: the one
// for its longest namespace, as Podman files them, what a helper has for the
// host, and the one for the host.
func (l *logins) find(ctx context.Context, host, path string, limit time.Duration) (auth.Credential, error) {
	host = registryName(host)
	for ; path != ""; path = path[:max(strings.LastIndexByte(path, '/'), 0)] {
		if cred, err := l.entry(host + "/" + path); err != nil || cred != auth.EmptyCredential {
			return cred, err
		}
	}
	if helper := l.helper(host); helper != "" {
		server := host
		if host == dockerHub {
			server = dockerHubLogin
		}
		if cred, err := askHelper(ctx, helper, server, limit); err != nil || cred != auth.EmptyCredential {
			return cred, err
		}
	}
	return l.entry(host)
}

// helper is the credential helper for a registry.
func (l *logins) helper(host string) string {
	for _, key := range slices.Sorted(maps.Keys(l.CredHelpers)) {
		if loginKey(key) == host {
			return l.CredHelpers[key]
		}
	}
	return l.CredsStore
}

// entry is the login under a key, however it is spelled there.
func (l *logins) entry(key string) (auth.Credential, error) {
	spelled := slices.DeleteFunc(slices.Sorted(maps.Keys(l.Auths)), func(s string) bool { return loginKey(s) != key })
	// Of several, Docker's own spelling is the one that docker login keeps up to date.
	slices.SortStableFunc(spelled, func(a, b string) int { return rank(a, key) - rank(b, key) })
	for _, s := range spelled {
		if cred, err := l.Auths[s].credential(); err != nil || cred != auth.EmptyCredential {
			if err != nil {
				err = fmt.Errorf("login for %s: %w", s, err)
			}
			return cred, err
		}
	}
	return auth.EmptyCredential, nil
}

func rank(spelled, key string) int {
	switch spelled {
	case dockerHubLogin:
		return 0
	case key:
		return 1
	}
	return 2
}

// loginKey is host[/namespace] of a key of a file of logins, which may be a URL.
func loginKey(s string) string {
	_, rest, isURL := strings.Cut(s, "://")
	if !isURL {
		rest = s
	}
	host, path, _ := strings.Cut(strings.TrimRight(rest, "/"), "/")
	host = registryName(host)
	if isURL || path == "" || path == "v1" || path == "v2" {
		return host
	}
	return host + "/" + path
}

func (l login) credential() (auth.Credential, error) {
	c := auth.Credential{
		Username: l.Username, Password: l.Password, RefreshToken: l.IdentityToken, AccessToken: l.RegistryToken,
	}
	if l.Auth == "" {
		return c, nil
	}
	b, err := base64.StdEncoding.DecodeString(l.Auth)
	if err != nil {
		return c, errors.New("its auth is not base64")
	}
	user, password, ok := strings.Cut(string(b), ":")
	if !ok {
		return c, errors.New("its auth is not user:password")
	}
	c.Username, c.Password = user, strings.Trim(password, "\x00")
	return c, nil
}
