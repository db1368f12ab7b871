package push

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
)

// images says for each place whether the target lacks it.
func (p *todo) images(places []place.Placement, rec *record.Record) []Image {
	lacking := make(map[string]bool)
	for _, t := range p.tags {
		lacking[t.repo+":"+t.ref] = true
	}
	for _, m := range p.manifests {
		lacking[m.repo+"@"+m.desc.Digest.String()] = true
	}
	reduced := make(map[string]string)
	for _, im := range rec.Images {
		reduced[im.Reference] = im.SourceDigest.String()
	}
	var all []Image
	for _, pl := range places {
		ref := pl.Target
		byTag := ref.Tag != "" && lacking[ref.Repository()+":"+ref.Tag]
		all = append(all, Image{
			Source: pl.Source,
			Target: ref.String(),
			Digest: pl.Root.Digest.String(),
			Pushed: byTag || lacking[ref.Repository()+"@"+pl.Root.Digest.String()],

			SourceDigest: reduced[pl.Source],
		})
	}
	return all
}

// A todo is what the target lacks.
type todo struct {
	uploads   []*upload
	manifests []manifestPush // children before the indexes that name them
	tags      []manifestPush
	present   int64 // bytes of blobs that the target has

	absent []ocispec.Descriptor // blobs that it lacks, on media that are not there
}

// An upload is one blob and the repositories that lack it.
type upload struct {
	desc    ocispec.Descriptor
	missing []string
	have    string // a repository of the target that has it, if any
	source  string // an image that needs it
}

type manifestPush struct {
	repo, ref string // ref: a tag, or empty to push by digest
	desc      ocispec.Descriptor
	source    string
}

// plan asks the target what it has.
func (p *Pusher) plan(ctx context.Context, places []place.Placement) (*todo, error) {
	p.Pr.Phase("comparing with the registry", 0)
	defer p.Pr.End()
	s := &survey{uploads: make(map[digest.Digest]*upload), done: make(map[string]bool)}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.Jobs)
	for _, pl := range places {
		g.Go(func() error { return p.survey(gctx, s, pl) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return s.result(p.Bundle, places), nil
}

// A survey collects answers of the target registry.
type survey struct {
	mu        sync.Mutex
	uploads   map[digest.Digest]*upload
	done      map[string]bool // repo@digest asked already
	manifests []manifestPush
	tags      []manifestPush
	present   int64
}

// first says whether nobody asked about key before.
func (s *survey) first(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.done[key]
	s.done[key] = true
	return !old
}

func (p *Pusher) survey(ctx context.Context, s *survey, pl place.Placement) error {
	repo := pl.Target.Repository()
	if pl.Target.Tag != "" {
		d, ok, err := p.Client.HasManifest(ctx, repo, pl.Target.Tag)
		if err != nil && !remote.Refused(err) { // the push may be taken all the same
			return fmt.Errorf("%s: %w", pl.Source, err)
		}
		if !ok || d != pl.Root.Digest {
			s.mu.Lock()
			s.tags = append(s.tags, manifestPush{repo, pl.Target.Tag, pl.Root, pl.Source})
			s.mu.Unlock()
		}
	}
	if !s.first(repo + "@" + pl.Root.Digest.String()) {
		return nil
	}
	manifests, blobs, err := p.Bundle.BlobsOf(pl.Root)
	if err != nil {
		return err
	}
	_, ok, err := p.Client.HasManifest(ctx, repo, pl.Root.Digest.String())
	if err != nil && !remote.Refused(err) {
		return fmt.Errorf("%s: %w", pl.Source, err)
	}
	if !ok {
		s.mu.Lock()
		for _, m := range manifests {
			if m.Digest != pl.Root.Digest || pl.Target.Tag == "" {
				s.manifests = append(s.manifests, manifestPush{repo, "", m, pl.Source})
			}
		}
		s.mu.Unlock()
	}
	for _, d := range blobs {
		if err := p.surveyBlob(ctx, s, pl, d, ok); err != nil {
			return err
		}
	}
	return nil
}

// surveyBlob notes whether repo has d. A repository that has a manifest has
// its blobs: registries check that when the manifest is pushed.
func (p *Pusher) surveyBlob(ctx context.Context, s *survey, pl place.Placement, d ocispec.Descriptor, known bool) error {
	repo := pl.Target.Repository()
	if !s.first(repo + "/blobs/" + d.Digest.String()) {
		return nil
	}
	has := known
	if !known {
		var err error
		if has, err = p.Client.HasBlob(ctx, repo, d); err != nil && !remote.Refused(err) {
			return fmt.Errorf("%s: %w", pl.Source, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[d.Digest]
	if u == nil {
		u = &upload{desc: d, source: pl.Source}
		s.uploads[d.Digest] = u
	}
	if has {
		u.have = repo
		s.present += d.Size
	} else {
		u.missing = append(u.missing, repo)
	}
	return nil
}

// result puts the uploads in the order of the bundle, so that its media is
// read from front to back.
func (s *survey) result(b *open.Bundle, places []place.Placement) *todo {
	rank := make(map[string]int)
	for i, pl := range places {
		if _, ok := rank[pl.Target.Repository()]; !ok {
			rank[pl.Target.Repository()] = i
		}
	}
	plan := &todo{manifests: s.manifests, tags: s.tags, present: s.present}
	for _, d := range b.Blobs {
		u := s.uploads[d.Digest]
		if u == nil || len(u.missing) == 0 {
			continue
		}
		delete(s.uploads, d.Digest)
		if !b.Has(d.Digest) {
			plan.absent = append(plan.absent, d)
			continue
		}
		slices.SortFunc(u.missing, func(x, y string) int { return rank[x] - rank[y] })
		plan.uploads = append(plan.uploads, u)
	}
	return plan
}

// total is the number of bytes that have to be read from the bundle.
func (p *todo) total() int64 {
	var n int64
	for _, u := range p.uploads {
		n += u.desc.Size
	}
	return n
}

func (p *todo) empty() bool {
	return len(p.uploads)+len(p.absent)+len(p.manifests)+len(p.tags) == 0
}
