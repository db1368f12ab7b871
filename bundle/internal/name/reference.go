// Package name holds the names of images and artifacts: references in full, as
// distribution/reference normalises them, and the entries of index.json that
// carry them.
//
// The contract: what [Parse] returns has a host, a path and a tag or digest; its
// String parses to the same reference again. [Canonical] takes only what is in full
// already, and [Cut] any text at all. [LocalHost] stands for what no registry has.
// [Confidence] says how sure it is that a text is a name.
//
//	ref, err := name.Parse("nginx:1.27") // docker.io/library/nginx:1.27
package name

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// A Reference names one image or artifact in full: host, repository path, and
// a tag, a digest, or both (then the digest decides what is pulled).
//
// It is the normal form of distribution/reference: docker.io and library/ are
// spelled out, a reference with neither tag nor digest means latest.
type Reference struct {
	Host   string        // docker.io, ghcr.io, localhost:5000
	Path   string        // library/nats, acme/gateway
	Tag    string        // 2.12.8-alpine, or empty
	Digest digest.Digest // sha256:…, or empty
}

// MaxLength is the longest name, of a host with its port or of a resource, that a
// file can still have in every file system.
const MaxLength = 240

// Parse reads a reference as users and charts write it.
func Parse(raw string) (Reference, error) {
	raw = strings.TrimPrefix(raw, "oci://")
	named, err := reference.ParseNormalizedNamed(raw)
	if err != nil {
		return Reference{}, fmt.Errorf("reference %q: %w", raw, err)
	}
	r := of(named)
	if len(r.Host) > MaxLength {
		return Reference{}, fmt.Errorf("reference %q: host of %d characters, at most %d are allowed", raw, len(r.Host), MaxLength)
	}
	if r.Digest != "" && r.Digest.Algorithm() != digest.SHA256 {
		return Reference{}, fmt.Errorf("reference %q: digest algorithm %s: only sha256 can be bundled", raw, r.Digest.Algorithm())
	}
	if r.Tag == "" && r.Digest == "" {
		r.Tag = "latest"
	}
	return r, nil
}

// Canonical reads a reference that is in full already, of whatever digest: nothing is
// defaulted, so that one without tag and digest names a repository.
func Canonical(s string) (Reference, error) {
	named, err := reference.ParseNamed(s)
	if err != nil {
		return Reference{}, err
	}
	return of(named), nil
}

func of(named reference.Named) Reference {
	r := Reference{Host: reference.Domain(named), Path: reference.Path(named)}
	if d, ok := named.(reference.Digested); ok {
		r.Digest = d.Digest()
	}
	if t, ok := named.(reference.Tagged); ok {
		r.Tag = t.Tag()
	}
	return r
}

// Cut takes any text apart as if it were a reference, and defaults nothing. A tag or
// digest of no characters is none: it stays with what is before it.
func Cut(s string) (repository, tag, digest string) {
	repository = s
	if before, after, _ := strings.Cut(s, "@"); after != "" {
		repository, digest = before, after
	}
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') && i < len(repository)-1 {
		repository, tag = repository[:i], repository[i+1:]
	}
	return repository, tag, digest
}

// Repository returns host/path.
func (r Reference) Repository() string { return r.Host + "/" + r.Path }

// String returns host/path[:tag][@digest].
func (r Reference) String() string {
	s := r.Repository()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest.String()
	}
	return s
}

// Pull returns the reference to ask the source registry for: by digest where
// there is one, since a tag beside it may have moved.
func (r Reference) Pull() string {
	if r.Digest != "" {
		return r.Repository() + "@" + r.Digest.String()
	}
	return r.Repository() + ":" + r.Tag
}
