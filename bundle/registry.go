package bundle

import (
	"time"

	"bundle/bundle/internal/remote"
)

// RegistryOptions say how to reach registries. The zero value uses HTTPS, the
// system's certificate authorities, and the credentials of `docker login`,
// `podman login` and their helpers.
type RegistryOptions struct {
	Mirrors         map[string]string     // source host → host[:port][/prefix] to fetch from instead
	PlainHTTP       []string              // hosts spoken to without TLS
	InsecureSkipTLS []string              // hosts whose certificate is not checked
	CAFile          string                // PEM, beside the system's
	Credentials     map[string]Credential // by host; before any other source
	Retry           Retry                 // what is done about faults
}

// Retry bounds what is done about faults: resets, silence, 408, 429 and 5xx.
// Zero fields have defaults.
type Retry struct {
	Attempts      int           // tries in a row without any progress; default 8, but 3 at a host that never answered
	MinWait       time.Duration // pause after the first failure, doubled after each further one; default 500ms
	MaxWait       time.Duration // longest pause; default 30s
	MaxRetryAfter time.Duration // longest pause that a registry may ask for; default 2m
	Stall         time.Duration // how long a connection may be all but silent; default 60s
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
		Retry:           remote.Retry(o.Retry),
	})
}
