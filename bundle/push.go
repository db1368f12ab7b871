package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// A pusher moves placements into the target registry: first what is missing is
// asked for, then blobs, then manifests, then tags. Nothing that a client can
// see is written before every blob has arrived under its digest.
type pusher struct {
	client *remote.Client
	bundle *Bundle
	jobs   int
	chunk  int64 // largest body of a request of an upload; 0: no limit
	pr     Progress
}

// A pushPlan is what the target lacks.
type pushPlan struct {
	uploads   []*upload
	manifests []manifestPush // children before the indexes that name them
	tags      []manifestPush
	present   int64 // bytes of blobs that the target has
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

// A pushResult counts bytes of blobs.
type pushResult struct {
	Sent    int64 `json:"sent"`    // moved over the network
	Mounted int64 `json:"mounted"` // taken by the registry from another of its repositories
	Present int64 `json:"present"` // there already
}

// plan asks the target what it has.
func (p *pusher) plan(ctx context.Context, places []placement) (*pushPlan, error) {
	p.pr.Phase("comparing with the registry", 0)
	defer p.pr.End()
	s := &survey{uploads: make(map[digest.Digest]*upload), done: make(map[string]bool)}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.jobs)
	for _, pl := range places {
		g.Go(func() error { return p.survey(gctx, s, pl) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return s.result(p.bundle, places), nil
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

func (p *pusher) survey(ctx context.Context, s *survey, pl placement) error {
	repo := pl.target.Repository()
	if pl.target.Tag != "" {
		d, ok, err := p.client.HasManifest(ctx, repo, pl.target.Tag)
		if err != nil {
			return fmt.Errorf("%s: %w", pl.source, err)
		}
		if !ok || d != pl.root.Digest {
			s.mu.Lock()
			s.tags = append(s.tags, manifestPush{repo, pl.target.Tag, pl.root, pl.source})
			s.mu.Unlock()
		}
	}
	if !s.first(repo + "@" + pl.root.Digest.String()) {
		return nil
	}
	manifests, blobs, err := p.bundle.blobsOf(pl.root)
	if err != nil {
		return err
	}
	_, ok, err := p.client.HasManifest(ctx, repo, pl.root.Digest.String())
	if err != nil {
		return fmt.Errorf("%s: %w", pl.source, err)
	}
	if !ok {
		s.mu.Lock()
		for _, m := range manifests {
			if m.Digest != pl.root.Digest || pl.target.Tag == "" {
				s.manifests = append(s.manifests, manifestPush{repo, "", m, pl.source})
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
func (p *pusher) surveyBlob(ctx context.Context, s *survey, pl placement, d ocispec.Descriptor, known bool) error {
	repo := pl.target.Repository()
	if !s.first(repo + "/blobs/" + d.Digest.String()) {
		return nil
	}
	has := known
	if !known {
		var err error
		if has, err = p.client.HasBlob(ctx, repo, d); err != nil {
			return fmt.Errorf("%s: %w", pl.source, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[d.Digest]
	if u == nil {
		u = &upload{desc: d, source: pl.source}
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
func (s *survey) result(b *Bundle, places []placement) *pushPlan {
	rank := make(map[string]int)
	for i, pl := range places {
		if _, ok := rank[pl.target.Repository()]; !ok {
			rank[pl.target.Repository()] = i
		}
	}
	plan := &pushPlan{manifests: s.manifests, tags: s.tags, present: s.present}
	for _, d := range b.all {
		u := s.uploads[d.Digest]
		if u == nil || len(u.missing) == 0 {
			continue
		}
		delete(s.uploads, d.Digest)
		slices.SortFunc(u.missing, func(x, y string) int { return rank[x] - rank[y] })
		plan.uploads = append(plan.uploads, u)
	}
	return plan
}

// total is the number of bytes that have to be read from the bundle.
func (p *pushPlan) total() int64 {
	var n int64
	for _, u := range p.uploads {
		n += u.desc.Size
	}
	return n
}

func (p *pushPlan) empty() bool { return len(p.uploads)+len(p.manifests)+len(p.tags) == 0 }

// preflight tries, for each project of the registry, whether a push would be
// allowed, before anything is written.
func (p *pusher) preflight(ctx context.Context, plan *pushPlan) error {
	tried := make(map[string]bool)
	try := func(repo string) error {
		host, path, _ := strings.Cut(repo, "/")
		project, _, _ := strings.Cut(path, "/")
		if tried[host+"/"+project] {
			return nil
		}
		tried[host+"/"+project] = true
		return p.client.Preflight(ctx, repo)
	}
	for _, u := range plan.uploads {
		for _, repo := range u.missing {
			if err := try(repo); err != nil {
				return err
			}
		}
	}
	for _, m := range slices.Concat(plan.manifests, plan.tags) {
		if err := try(m.repo); err != nil {
			return err
		}
	}
	return nil
}

// push carries the plan out.
func (p *pusher) push(ctx context.Context, plan *pushPlan) (pushResult, error) {
	res := pushResult{Present: plan.present}
	var mu sync.Mutex
	p.pr.Phase("pushing", plan.total())
	defer p.pr.End()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.jobs)
	for _, u := range plan.uploads {
		g.Go(func() error {
			r, err := p.pushBlob(gctx, u)
			mu.Lock()
			defer mu.Unlock()
			res.Sent += r.Sent
			res.Mounted += r.Mounted
			res.Present += r.Present
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return res, err
	}
	if err := p.pushManifests(ctx, plan.manifests); err != nil {
		return res, err
	}
	return res, p.pushTags(ctx, plan.tags)
}

// pushBlob sends a blob to the first repository that lacks it and has the
// registry mount it in the others. Progress counts it once: sent, or skipped
// where the registry had it under another name.
func (p *pusher) pushBlob(ctx context.Context, u *upload) (pushResult, error) {
	var sum pushResult
	from := u.have
	for i, repo := range u.missing {
		src := remote.BlobSource{
			Open:      func() (io.ReadCloser, error) { return p.bundle.reader.OpenBlob(u.desc.Digest) },
			MountFrom: from,
			Missing:   true, // the survey has asked
			Chunk:     p.chunk,
		}
		if i == 0 {
			src.Progress = p.pr.Add
		}
		r, err := p.client.PushBlob(ctx, repo, u.desc, src)
		if err != nil {
			return sum, asDamagedBlob(u.desc, fmt.Errorf("%s: %w", u.source, err))
		}
		if i == 0 && r.Sent == 0 {
			p.pr.Skip(u.desc.Size)
		}
		sum.Sent += r.Sent
		switch {
		case r.Mounted:
			sum.Mounted += u.desc.Size
		case r.Existed:
			sum.Present += u.desc.Size
		}
		from = repo
	}
	return sum, nil
}

// pushManifests sends manifests in order within a repository, and repositories
// beside each other.
func (p *pusher) pushManifests(ctx context.Context, list []manifestPush) error {
	byRepo := make(map[string][]manifestPush)
	for _, m := range list {
		byRepo[m.repo] = append(byRepo[m.repo], m)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.jobs)
	for _, repo := range sortedKeys(byRepo) {
		g.Go(func() error {
			for _, m := range byRepo[repo] {
				if err := p.pushManifest(ctx, m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (p *pusher) pushTags(ctx context.Context, list []manifestPush) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.jobs)
	for _, m := range list {
		g.Go(func() error {
			if err := p.pushManifest(ctx, m); err != nil {
				return err
			}
			p.pr.Done(m.repo + ":" + m.ref)
			return nil
		})
	}
	return g.Wait()
}

func (p *pusher) pushManifest(ctx context.Context, m manifestPush) error {
	doc, err := p.bundle.docs.fetch(m.desc)
	if err != nil {
		return fmt.Errorf("%s: %w", m.source, err)
	}
	ref := m.ref
	if ref == "" {
		ref = m.desc.Digest.String()
	}
	if err := p.client.PushManifest(ctx, m.repo, ref, m.desc, doc); err != nil {
		return fmt.Errorf("%s: %w", m.source, err)
	}
	return nil
}

// asDamagedBlob tells content of the bundle that failed its check from a
// registry that failed.
func asDamagedBlob(d ocispec.Descriptor, err error) error {
	var format *layout.FormatError
	if errors.As(err, &format) {
		return &DamagedError{layout.BlobName(d.Digest), err}
	}
	return err
}
