package remote

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// credential finds what the repository's host is given when it asks. It is
// looked up anew each time, since what a helper returns may have expired.
func (r *repository) credential(ctx context.Context, host string) (auth.Credential, error) {
	if host != r.host {
		return auth.EmptyCredential, nil
	}
	cred, err := r.lookup(ctx)
	if err != nil {
		return auth.EmptyCredential, &credentialError{err}
	}
	r.credentialsKnown.Store(cred != auth.EmptyCredential)
	return cred, nil
}

func (r *repository) lookup(ctx context.Context) (auth.Credential, error) {
	host := r.host
	if host == dockerHubWire {
		host = dockerHub
	}
	for _, h := range []string{host, r.host} {
		if c, ok := r.client.opts.Credentials[h]; ok {
			return auth.Credential{Username: c.Username, Password: c.Password}, nil
		}
	}
	keys := keychainKeys(host, r.path)
	for i := 0; i < len(keys); i += 2 {
		pair := keys[i:min(i+2, len(keys))]
		found, err := authn.DefaultKeychain.ResolveContext(ctx, keyPair{pair[0], pair[len(pair)-1]})
		if err != nil {
			return auth.EmptyCredential, err
		}
		if found == authn.Anonymous {
			continue
		}
		cfg, err := authn.Authorization(ctx, found)
		if err != nil {
			return auth.EmptyCredential, err
		}
		return auth.Credential{
			Username: cfg.Username, Password: cfg.Password,
			RefreshToken: cfg.IdentityToken, AccessToken: cfg.RegistryToken,
		}, nil
	}
	return auth.EmptyCredential, nil
}

// keychainKeys lists what a repository's credentials may be filed under, the
// most specific first: Podman files them under namespaces, too (see
// containers-auth.json(5)), and Docker Hub's under "docker.io".
func keychainKeys(host, path string) []string {
	base := host
	if host == dockerHub {
		base = name.DefaultRegistry // the keychain turns it into Docker's legacy key
	}
	var keys []string
	for p := path; p != ""; p = p[:max(strings.LastIndexByte(p, '/'), 0)] {
		keys = append(keys, base+"/"+p)
	}
	keys = append(keys, base)
	if base != host {
		keys = append(keys, host)
	}
	return keys
}

// keyPair is two keys for one query: the keychain asks for String first, then for
// RegistryStr.
type keyPair struct{ first, second string }

func (k keyPair) String() string      { return k.first }
func (k keyPair) RegistryStr() string { return k.second }

// credentialError says that the user's configuration or credential helper failed.
type credentialError struct{ err error }

func (e *credentialError) Error() string { return fmt.Sprintf("look up credentials: %v", e.err) }
func (e *credentialError) Unwrap() error { return e.err }
