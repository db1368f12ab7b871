package image

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// maxReferrerDepth bounds signatures of SBOMs of images and the like, maxAttached
// how many artifacts one image may have on all levels: a registry can make up
// more while it is asked.
const (
	maxReferrerDepth = 3
	maxAttached      = 1000
)

// Referrers returns what is attached to the images: OCI 1.1 referrers and
// cosign's tags, of each index and of each manifest below it, and what is
// attached to those in turn.
func (r *Resolver) Referrers(ctx context.Context, images []*Image) ([]*Image, error) {
	found := make([][]*Image, len(images))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsking)
	for i, im := range images {
		g.Go(func() (err error) {
			found[i], err = r.referrersOf(gctx, im, 0, new(atomic.Int64))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fault.WithHint(err, "leave signatures and other referrers behind with --no-referrers")
	}
	var all []*Image
	names := make(map[string]bool)
	for _, im := range images {
		names[im.Name()] = true
	}
	for _, list := range found {
		for _, im := range list {
			if !names[im.Name()] {
				names[im.Name()] = true
				all = append(all, im)
			}
		}
	}
	slices.SortFunc(all, func(a, b *Image) int { return strings.Compare(a.Name(), b.Name()) })
	return all, nil
}

// referrersOf looks at every manifest of one image, and counts what it finds. An
// index that a platform choice has rewritten is new to its registry: nothing
// refers to it.
func (r *Resolver) referrersOf(ctx context.Context, im *Image, depth int, count *atomic.Int64) ([]*Image, error) {
	if depth == maxReferrerDepth {
		return nil, nil
	}
	all, err := layout.Reachable([]ocispec.Descriptor{im.Root}, im.Content.Fetch)
	if err != nil {
		return nil, remote.About(im.Ref.String(), err)
	}
	found := make([][]*Image, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsking)
	for i, d := range all {
		if !layout.IsManifest(d.MediaType) || d.Digest == im.Root.Digest && d.Digest != im.Source.Digest {
			continue
		}
		g.Go(func() error {
			direct, err := r.attachedTo(ctx, im.Ref, d.Digest)
			if err != nil {
				return err
			}
			if count.Add(int64(len(direct))) > maxAttached {
				return fmt.Errorf("%s: more than %d artifacts are attached to it", im.Ref, maxAttached)
			}
			for _, a := range direct {
				deeper, err := r.referrersOf(ctx, a, depth+1, count)
				if err != nil {
					return err
				}
				found[i] = append(append(found[i], a), deeper...)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// attachedTo finds what is attached to one digest.
func (r *Resolver) attachedTo(ctx context.Context, to name.Reference, subject digest.Digest) ([]*Image, error) {
	refs, err := r.attachments(ctx, to, subject)
	if err != nil {
		return nil, err
	}
	var found []*Image
	for _, ref := range refs {
		a, err := r.image(ctx, Want{ref: ref}, nil)
		if err != nil {
			return nil, fmt.Errorf("attached to %s@%s: %w", to.Repository(), subject, err)
		}
		if got := subjectOf(a.Content[a.Root.Digest]); ref.Tag == "" && got != subject {
			return nil, fmt.Errorf("%s is listed as attached to %s, but says that it is attached to %q", ref, subject, got)
		}
		a.Subject = subject
		found = append(found, a)
	}
	return found, nil
}

// subjectOf is the digest that a manifest says it is attached to, or empty.
func subjectOf(manifest []byte) digest.Digest {
	var m struct{ Subject *ocispec.Descriptor }
	if json.Unmarshal(manifest, &m) != nil || m.Subject == nil {
		return ""
	}
	return m.Subject.Digest
}

// attachments lists what is attached to one digest.
func (r *Resolver) attachments(ctx context.Context, to name.Reference, subject digest.Digest) (refs []name.Reference, err error) {
	repo := to.Repository()
	err = r.do(ctx, func() error {
		for _, end := range record.CosignTags {
			tag := subject.Algorithm().String() + "-" + subject.Encoded() + end
			_, ok, err := r.client.HasManifest(ctx, repo, tag)
			if err != nil {
				return err
			}
			if ok {
				refs = append(refs, name.Reference{Host: to.Host, Path: to.Path, Tag: tag})
			}
		}
		descs, err := r.client.Referrers(ctx, repo, subject)
		for _, d := range descs {
			refs = append(refs, name.Reference{Host: to.Host, Path: to.Path, Digest: d.Digest})
		}
		return err
	})
	return refs, err
}
