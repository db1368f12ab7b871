package bundle

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

	"bundle/layout"
)

// cosignTags are the endings of the tags under which cosign keeps signatures,
// attestations and SBOMs of a digest (cosign, specs/SIGNATURE_SPEC.md).
var cosignTags = []string{".sig", ".att", ".sbom"}

// maxReferrerDepth bounds signatures of SBOMs of images and the like, maxAttached
// how many artifacts one image may have on all levels: a registry can make up
// more while it is asked.
const (
	maxReferrerDepth = 3
	maxAttached      = 1000
)

// attached finds the referrers of images, and of charts that came from a
// registry.
func (r *resolver) attached(ctx context.Context, images []*image, charts []*chartArtifact) ([]*image, error) {
	all := slices.Clone(images)
	for _, c := range charts {
		im, err := c.image()
		if err != nil {
			return nil, err
		}
		if im != nil {
			all = append(all, im)
		}
	}
	return r.findReferrers(ctx, all)
}

// findReferrers returns what is attached to the images: OCI 1.1 referrers and
// cosign's tags, of each index and of each manifest below it, and what is
// attached to those in turn.
func (r *resolver) findReferrers(ctx context.Context, images []*image) ([]*image, error) {
	found := make([][]*image, len(images))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsking)
	for i, im := range images {
		g.Go(func() (err error) {
			found[i], err = r.referrersOf(gctx, im, 0, new(atomic.Int64))
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
		for _, im := range list {
			if !names[im.name()] {
				names[im.name()] = true
				all = append(all, im)
			}
		}
	}
	slices.SortFunc(all, func(a, b *image) int { return strings.Compare(a.name(), b.name()) })
	return all, nil
}

// referrersOf looks at every manifest of one image, and counts what it finds. An
// index that a platform choice has rewritten is new to its registry: nothing
// refers to it.
func (r *resolver) referrersOf(ctx context.Context, im *image, depth int, count *atomic.Int64) ([]*image, error) {
	if depth == maxReferrerDepth {
		return nil, nil
	}
	all, err := layout.Reachable([]ocispec.Descriptor{im.root}, im.content.fetch)
	if err != nil {
		return nil, about(im.ref.String(), err)
	}
	found := make([][]*image, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsking)
	for i, d := range all {
		if !layout.IsManifest(d.MediaType) || d.Digest == im.root.Digest && d.Digest != im.source.Digest {
			continue
		}
		g.Go(func() error {
			direct, err := r.attachedTo(ctx, im.ref, d.Digest)
			if err != nil {
				return err
			}
			if count.Add(int64(len(direct))) > maxAttached {
				return fmt.Errorf("%s: more than %d artifacts are attached to it", im.ref, maxAttached)
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
func (r *resolver) attachedTo(ctx context.Context, to Reference, subject digest.Digest) ([]*image, error) {
	refs, err := r.attachments(ctx, to, subject)
	if err != nil {
		return nil, err
	}
	var found []*image
	for _, ref := range refs {
		a, err := r.image(ctx, want{ref: ref}, nil)
		if err != nil {
			return nil, fmt.Errorf("attached to %s@%s: %w", to.Repository(), subject, err)
		}
		if got := subjectOf(a.content[a.root.Digest]); ref.Tag == "" && got != subject {
			return nil, fmt.Errorf("%s is listed as attached to %s, but says that it is attached to %q", ref, subject, got)
		}
		a.subject = subject
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
func (r *resolver) attachments(ctx context.Context, to Reference, subject digest.Digest) (refs []Reference, err error) {
	repo := to.Repository()
	err = r.do(ctx, func() error {
		for _, end := range cosignTags {
			tag := subject.Algorithm().String() + "-" + subject.Encoded() + end
			_, ok, err := r.client.HasManifest(ctx, repo, tag)
			if err != nil {
				return err
			}
			if ok {
				refs = append(refs, Reference{Host: to.Host, Path: to.Path, Tag: tag})
			}
		}
		descs, err := r.client.Referrers(ctx, repo, subject)
		for _, d := range descs {
			refs = append(refs, Reference{Host: to.Host, Path: to.Path, Digest: d.Digest})
		}
		return err
	})
	return refs, err
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
