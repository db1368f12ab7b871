// Package name holds the names of images and artifacts: references in full, as
// distribution/reference normalises them, and the entries of index.json that
// carry them.
//
// The contract: what [Parse] returns has a host, a path and a tag or digest; its
// String parses to the same reference again. [LocalHost] stands for what no
// registry has.
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
	r := Reference{Host: reference.Domain(named), Path: reference.Path(named)}
	if len(r.Host) > MaxLength {
		return Reference{}, fmt.Errorf("reference %q: host of %d characters, at most %d are allowed", raw, len(r.Host), MaxLength)
	}
	if d, ok := named.(reference.Digested); ok {
		r.Digest = d.Digest()
		if r.Digest.Algorithm() != digest.SHA256 {
			return Reference{}, fmt.Errorf("reference %q: digest algorithm %s: only sha256 can be bundled", raw, r.Digest.Algorithm())
		}
	}
	if t, ok := named.(reference.Tagged); ok {
		r.Tag = t.Tag()
	}
	if r.Tag == "" && r.Digest == "" {
		r.Tag = "latest"
	}
	return r, nil
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
