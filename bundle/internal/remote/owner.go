package remote

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"bundle/bundle/internal/lazy"
)

// flavour is the software of a registry, as far as its owner has to do other
// things with it than with the rest.
type flavour int

const (
	unknown flavour = iota
	ecr
	harbor
	quay
	gitlab
)

// makes says for each flavour how a repository comes to be there.
var makes = map[flavour]string{
	ecr:    "Amazon ECR: aws ecr create-repository --repository-name PATH, for each, or a repository creation template",
	harbor: "Harbor: a project named like the first part of the path, and a role in it that may push",
	quay:   "Quay: the organization and, unless it creates on push, the repository; it takes paths of two parts (--names flat)",
	gitlab: "GitLab: the path of a project (--registry HOST/GROUP/PROJECT), and at most two parts below it (--names flat)",
}

// service is the parameter of a challenge (RFC 9110, 11.6.1) that says who asks.
var (
	service = lazy.Regexp(`(?i)\bservice\s*=\s*"([^"]*)"`)
	realm   = lazy.Regexp(`(?i)\brealm\s*=\s*"[^"]*/jwt/auth`)
)

// note remembers what a host says of itself in its challenge.
func (t *transport) note(host string, resp *http.Response) {
	if resp.StatusCode != http.StatusUnauthorized {
		return
	}
	for _, challenge := range resp.Header.Values("WWW-Authenticate") {
		if f := flavourOf(host, challenge); f != unknown {
			t.flavours.Store(host, f)
		}
	}
}

// flavourOf tells a registry by its host or by its challenge.
func flavourOf(host, challenge string) flavour {
	name, _, _ := strings.Cut(host, ":")
	said := ""
	if m := service().FindStringSubmatch(challenge); m != nil {
		said = m[1]
	}
	switch {
	case said == "ecr.amazonaws.com", strings.Contains(name, ".dkr.ecr.") && strings.HasSuffix(name, ".amazonaws.com"):
		return ecr
	case said == "harbor-registry":
		return harbor
	case name == "quay.io", said == "quay.io":
		return quay
	case said == "container_registry" && realm().MatchString(challenge), name == "registry.gitlab.com":
		return gitlab
	}
	return unknown
}

// AskOwner says what the owner of a registry is to be asked for, where some of its
// repositories cannot be pushed to; closed has their errors.
func (c *Client) AskOwner(closed map[string]error) string {
	var (
		missing, forbidden, deep, anonymous bool
		host                                string
		told                                []string // by failures of a kind of their own
	)
	for repo, err := range closed {
		r, rerr := c.repository(repo)
		var e *Error
		if rerr != nil || !errors.As(err, &e) {
			continue
		}
		host = r.host
		if e.Kind == Protocol && e.Hint != "" && !slices.Contains(told, e.Hint) {
			told = append(told, e.Hint)
		}
		missing = missing || e.Kind == NotFound
		forbidden = forbidden || e.Kind == Denied || e.Kind == Auth
		anonymous = anonymous || e.Kind == Auth && !r.credentialsKnown.Load()
		var status *statusError
		unnamed := errors.As(e.Err, &status) && status.TokenServer != ""
		deep = deep || (e.Kind != Protocol || unnamed) && r.depth() > shallow
	}
	lines := told
	if missing {
		lines = append(lines, "have these repositories made first; that is for")
		f := flavourOf(host, "")
		if known, ok := c.transport.flavours.Load(host); ok && f == unknown {
			f, _ = known.(flavour)
		}
		for each := ecr; each <= gitlab; each++ {
			if f == unknown || f == each {
				lines = append(lines, "  "+makes[each])
			}
		}
	}
	switch {
	case anonymous:
		lines = append(lines, "log in to "+registryName(host)+" with docker login, podman login or helm registry login, or give --username NAME --password-stdin")
	case forbidden:
		lines = append(lines, "ask for the right to push there, or use other credentials")
	}
	if deep {
		lines = append(lines, fmt.Sprintf("some registries take paths of %d parts only: --names flat makes one part of the source's name", shallow))
	}
	return strings.Join(lines, "\n")
}

// Cause is the failure alone, without what was being done.
func (e *Error) Cause() string { return redact(e.Err.Error()) }
