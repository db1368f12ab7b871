package bundle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// cosignTags are the endings of the tags under which cosign keeps signatures,
// attestations and SBOMs of a digest (cosign, specs/SIGNATURE_SPEC.md).
var cosignTags = []string{".sig", ".att", ".sbom"}

// maxReferrerDepth bounds signatures of SBOMs of images and the like.
const maxReferrerDepth = 3

// findReferrers returns what is attached to the images: OCI 1.1 referrers and
// cosign's tags, of each index and of each manifest below it, and what is
// attached to those in turn.
func findReferrers(ctx context.Context, c *remote.Client, images []*image, jobs int) ([]*image, error) {
	found := make([][]*image, len(images))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for i, im := range images {
		g.Go(func() (err error) {
			found[i], err = referrersOf(gctx, c, im, 0)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, withHint(err, "leave signatures and other referrers behind with --no-referrers")
	}
	var all []*image
	names := make(map[string]bool)
	for _, im := range images {
		names[im.name()] = true
	}
	for _, list := range found {
		for _, r := range list {
			if !names[r.name()] {
				names[r.name()] = true
				all = append(all, r)
			}
		}
	}
	slices.SortFunc(all, func(a, b *image) int { return strings.Compare(a.name(), b.name()) })
	return all, nil
}

// referrersOf looks at every manifest of one image. An index that a platform
// choice has rewritten is new to its registry: nothing refers to it.
func referrersOf(ctx context.Context, c *remote.Client, im *image, depth int) ([]*image, error) {
	if depth == maxReferrerDepth {
		return nil, nil
	}
	all, err := layout.Reachable([]ocispec.Descriptor{im.root}, im.content.fetch)
	if err != nil {
		return nil, about(im.ref.String(), err)
	}
	var found []*image
	for _, d := range all {
		if !layout.IsManifest(d.MediaType) || d.Digest == im.root.Digest && d.Digest != im.source.Digest {
			continue
		}
		direct, err := attachedTo(ctx, c, im.ref, d.Digest)
		if err != nil {
			return nil, err
		}
		for _, r := range direct {
			deeper, err := referrersOf(ctx, c, r, depth+1)
			if err != nil {
				return nil, err
			}
			found = append(append(found, r), deeper...)
		}
	}
	return found, nil
}

// attachedTo finds what is attached to one digest.
func attachedTo(ctx context.Context, c *remote.Client, to Reference, subject digest.Digest) ([]*image, error) {
	repo := to.Repository()
	var refs []Reference
	for _, end := range cosignTags {
		tag := subject.Algorithm().String() + "-" + subject.Encoded() + end
		_, ok, err := c.HasManifest(ctx, repo, tag)
		if err != nil {
			return nil, err
		}
		if ok {
			refs = append(refs, Reference{Host: to.Host, Path: to.Path, Tag: tag})
		}
	}
	descs, err := c.Referrers(ctx, repo, subject)
	if err != nil {
		return nil, err
	}
	for _, d := range descs {
		refs = append(refs, Reference{Host: to.Host, Path: to.Path, Digest: d.Digest})
	}
	var found []*image
	for _, ref := range refs {
		r, err := resolveImage(ctx, c, want{ref: ref}, nil)
		if err != nil {
			return nil, fmt.Errorf("attached to %s@%s: %w", repo, subject, err)
		}
		r.subject = subject
		found = append(found, r)
	}
	return found, nil
}

// addReferrers places referrers in every repository that has their subject.
func (p *placements) addReferrers(b *Bundle, roots map[string]ocispec.Descriptor) error {
	repos := make(map[digest.Digest][]string)
	for _, pl := range p.all() {
		manifests, _, err := b.blobsOf(pl.root)
		if err != nil {
			return err
		}
		for _, m := range manifests {
			if repo := pl.target.Repository(); !slices.Contains(repos[m.Digest], repo) {
				repos[m.Digest] = append(repos[m.Digest], repo)
			}
		}
	}
	// A referrer of a referrer stands after it in no particular order: go on
	// until nothing new finds a place.
	placed := make(map[string]int)
	for changed := true; changed; {
		changed = false
		for _, r := range b.Record.Referrers {
			ref, err := ParseReference(r.Reference)
			if err != nil {
				return err
			}
			for ; placed[r.Reference] < len(repos[r.Subject]); placed[r.Reference]++ {
				repo := repos[r.Subject][placed[r.Reference]]
				name := repo + "@" + r.Digest.String()
				if ref.Tag != "" {
					name = repo + ":" + ref.Tag
				}
				if err := p.addAt(name, r.Reference, roots[r.Reference]); err != nil {
					return err
				}
				if !slices.Contains(repos[r.Digest], repo) {
					repos[r.Digest] = append(repos[r.Digest], repo)
				}
				changed = true
			}
		}
	}
	return nil
}
