package stock

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// maxDepth is how deep indexes may be nested.
const maxDepth = 16

// follow reads the manifest under a tag or digest, and all that it leads to.
func (s *search) follow(ctx context.Context, repo, ref string) error {
	sep := ":"
	if digest.Digest(ref).Validate() == nil {
		sep = "@"
	}
	full := s.full(repo) + sep + ref
	desc, raw, err := s.Client.Resolve(ctx, full)
	if err != nil {
		return s.unread(ctx, repo, repo+sep+ref, err)
	}
	return s.descend(ctx, repo, desc, raw, 0)
}

// descend takes what a manifest names.
func (s *search) descend(ctx context.Context, repo string, d ocispec.Descriptor, raw []byte, depth int) error {
	if !s.first(repo, d.Digest) {
		return nil
	}
	name := repo + "@" + d.Digest.String()
	children, err := layout.Children(d.MediaType, raw)
	if err == nil && depth > maxDepth {
		err = errors.New("indexes are nested too deeply")
	}
	if err != nil {
		s.leave(name, err)
		return nil
	}
	for _, c := range children {
		if !layout.IsManifest(c.MediaType) {
			s.add(repo, c.Digest, c.Size)
			continue
		}
		below, err := s.Client.Manifest(ctx, s.full(repo), c)
		if err == nil {
			err = s.descend(ctx, repo, c, below, depth+1)
		} else {
			err = s.unread(ctx, repo, repo+"@"+c.Digest.String(), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unread bears a manifest that cannot be read. That some platforms of an index are
// not there is common, and a tag may go while others are asked for.
func (s *search) unread(ctx context.Context, repo, name string, err error) error {
	var e *remote.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case missing(err):
		return nil
	case errors.As(err, &e) && e.Kind == remote.Protocol && e.Status == 0: // it is none that can be carried
		s.leave(name, err)
		return nil
	}
	return s.bear(ctx, repo, err)
}
