package remote

import (
	"context"
	"fmt"
	"os"
	"strings"

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
	for host, c := range r.client.opts.Credentials {
		if registryName(host) == registryName(r.host) {
			return auth.Credential{Username: c.Username, Password: c.Password}, nil
		}
	}
	// Helpers may ask the user: one at a time.
	select {
	case r.client.asking <- struct{}{}:
		defer func() { <-r.client.asking }()
	case <-ctx.Done():
		return auth.EmptyCredential, ctx.Err()
	}
	home, _ := os.UserHomeDir() // without one, there are no files in it
	for _, name := range loginFiles(os.Getenv, home, os.Getuid()) {
		file, err := readLogins(name)
		if err != nil {
			return auth.EmptyCredential, err
		}
		cred, err := file.find(ctx, r.host, r.path, r.client.opts.Retry.Stall)
		if err != nil || cred != auth.EmptyCredential {
			return cred, err
		}
	}
	return auth.EmptyCredential, nil
}

const (
	dockerHub     = "docker.io"            // as references and users spell it
	dockerHubWire = "registry-1.docker.io" // where its API is

	// dockerHubLogin is what docker login files Docker Hub under, for historical
	// reasons.
	dockerHubLogin = "https://index.docker.io/v1/"
)

// registryName is the one name of a registry ("host[:port]") that has several:
// names compare without case, and Docker Hub is docker.io.
func registryName(host string) string {
	switch host = strings.ToLower(host); host {
	case dockerHubWire, "index.docker.io", "registry.hub.docker.com":
		return dockerHub
	}
	return host
}

// wireHost is the host that serves the API of the registry called host.
func wireHost(host string) string {
	if host = registryName(host); host == dockerHub {
		return dockerHubWire
	}
	return host
}

// credentialError says that the user's configuration or credential helper failed.
type credentialError struct{ err error }

func (e *credentialError) Error() string { return fmt.Sprintf("look up credentials: %v", e.err) }
func (e *credentialError) Unwrap() error { return e.err }
