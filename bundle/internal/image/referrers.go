package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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

// Unasked is a registry that did not answer questions for signatures and other
// referrers, or not serve some.
type Unasked struct {
	Registry  string `json:"registry"`  // host, as it stands in references
	Questions int    `json:"questions"` // how many have no answer
	Reason    string `json:"reason"`    // why the first has none
}

// A question is a kind of question to a registry: it may answer one and not the
// other.
type question struct{ host, kind string }

// outcome is what came of questions of a kind.
type outcome struct {
	answered bool // at least one: what fails is worth to be tried again
	dead     bool // it is not worth asking again
}

// Referrers returns what is attached to the images: OCI 1.1 referrers and
// cosign's tags, of each index and of each manifest below it, and what is
// attached to those in turn. Those of the registries that are left out are not
// asked for. A registry that refuses to answer, or cannot, costs its referrers
// and nothing else: it is among those returned.
func (r *Resolver) Referrers(ctx context.Context, images []*Image, leaveOut func(host string) bool) ([]*Image, []Unasked, error) {
	found := make([][]*Image, len(images))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsking)
	for i, im := range images {
		if im.Files != nil || leaveOut(im.Ref.Host) || leaveOut(r.client.Host(im.Ref.Repository())) {
			continue
		}
		g.Go(func() (err error) {
			if found[i], err = r.referrersOf(gctx, im, 0, new(atomic.Int64)); err != nil {
				err = fault.WithHint(err, "leave signatures and other referrers of this registry behind with --no-referrers="+im.Ref.Host)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
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
	return all, r.Unasked(), nil
}

// Attached returns what is attached to what the registry gave for an image, before any
// choice of platforms, as far as the registry says.
func (r *Resolver) Attached(ctx context.Context, im *Image) ([]*Image, error) {
	return r.attachedTo(ctx, im.Ref, im.Source.Digest)
}

// Unasked lists the registries that did not answer.
func (r *Resolver) Unasked() (all []Unasked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, host := range slices.Sorted(maps.Keys(r.unasked)) {
		all = append(all, *r.unasked[host])
	}
	return all
}

// noAnswer notes a question that has none, and returns the error where it is not
// the registry's.
func (r *Resolver) noAnswer(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.unasked[host]
	if u == nil {
		u = &Unasked{Registry: host, Reason: record.Printable(err.Error())}
		r.unasked[host] = u
	}
	u.Questions++
	return nil
}

// ask asks a question, unless its kind has no answer at that registry, and notes
// the outcome. Where none of the kind was answered yet, it is not tried for long.
func (r *Resolver) ask(ctx context.Context, q question, f func(context.Context) error) error {
	r.mu.Lock()
	before := r.asked[q]
	if before.dead {
		r.unasked[q.host].Questions++
	}
	r.mu.Unlock()
	if before.dead {
		return nil
	}
	asking := ctx
	if !before.answered {
		asking = remote.Hasty(ctx)
	}
	err := f(asking)
	if err != nil {
		if err := r.noAnswer(ctx, q.host, err); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.asked[q]
	var said *remote.Error
	now.answered = now.answered || err == nil
	now.dead = now.dead || errors.As(err, &said) && (said.Kind == remote.Unreachable || said.Kind == remote.RateLimited)
	r.asked[q] = now
	return nil
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
		a, err := r.image(ctx, Want{ref: ref}, Choice{})
		if err == nil {
			err = r.whole(ctx, a)
		}
		if err != nil {
			if err := r.noAnswer(ctx, to.Host, err); err != nil {
				return nil, fmt.Errorf("attached to %s@%s: %w", to.Repository(), subject, err)
			}
			continue
		}
		if got := subjectOf(a.Content[a.Root.Digest]); ref.Tag == "" && got != subject {
			return nil, fmt.Errorf("%s is listed as attached to %s, but says that it is attached to %q", ref, subject, got)
		}
		a.Subject = subject
		found = append(found, a)
	}
	return found, nil
}

// whole requires that all of an artifact is where it is: found out later, a lost
// signature would cost the images.
func (r *Resolver) whole(ctx context.Context, a *Image) error {
	var blobs []ocispec.Descriptor
	a.walk(func(d ocispec.Descriptor) {
		if !layout.IsManifest(d.MediaType) && a.Content[d.Digest] == nil {
			blobs = append(blobs, d)
		}
	})
	for _, d := range blobs {
		err := r.do(ctx, func() error {
			has, err := r.has(ctx, a, d)
			if err == nil && !has {
				err = fmt.Errorf("%s: its registry does not have %s", a.Ref, d.Digest)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// subjectOf is the digest that a manifest says it is attached to, or empty.
func subjectOf(manifest []byte) digest.Digest {
	var m struct{ Subject *ocispec.Descriptor }
	if json.Unmarshal(manifest, &m) != nil || m.Subject == nil {
		return ""
	}
	return m.Subject.Digest
}

// attachments lists what is attached to one digest, as far as the registry says.
func (r *Resolver) attachments(ctx context.Context, to name.Reference, subject digest.Digest) (refs []name.Reference, err error) {
	repo := to.Repository()
	lookUp := func(ctx context.Context) error {
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
		return nil
	}
	list := func(ctx context.Context) error {
		descs, err := r.client.Referrers(ctx, repo, subject)
		if err != nil {
			return err
		}
		for _, d := range descs {
			refs = append(refs, name.Reference{Host: to.Host, Path: to.Path, Digest: d.Digest})
		}
		return nil
	}
	err = r.do(ctx, func() error {
		if err := r.ask(ctx, question{to.Host, "tags"}, lookUp); err != nil {
			return err
		}
		return r.ask(ctx, question{to.Host, "referrers"}, list)
	})
	return refs, err
}
