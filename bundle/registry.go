package bundle

import "bundle/bundle/internal/remote"

// RegistryOptions say how to reach registries. The zero value uses HTTPS, the
// system's certificate authorities, and the credentials of `docker login`,
// `podman login` and their helpers.
type RegistryOptions struct {
	Mirrors         map[string]string     // source host → host[:port][/prefix] to fetch from instead
	PlainHTTP       []string              // hosts spoken to without TLS
	InsecureSkipTLS []string              // hosts whose certificate is not checked
	CAFile          string                // PEM, beside the system's
	Credentials     map[string]Credential // by host; before any other source
}

// A Credential is a user's name and password, or token, at one registry.
type Credential struct{ Username, Password string }

func (o RegistryOptions) client() (*remote.Client, error) {
	creds := make(map[string]remote.Credential, len(o.Credentials))
	for host, c := range o.Credentials {
		creds[host] = remote.Credential{Username: c.Username, Password: c.Password}
	}
	return remote.New(remote.Options{
		Mirrors:         o.Mirrors,
		PlainHTTP:       o.PlainHTTP,
		InsecureSkipTLS: o.InsecureSkipTLS,
		CAFile:          o.CAFile,
		Credentials:     creds,
		UserAgent:       "bundle",
	})
}
