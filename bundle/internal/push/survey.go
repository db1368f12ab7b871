package push

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/remote"
)

// A goal is one placement and all that it needs in its repository.
type goal struct {
	place.Placement
	repo      string
	manifests []ocispec.Descriptor // each after those that it names: the root is last
	blobs     []ocispec.Descriptor
}

// What is asked for, pushed and refused goes by these keys.
func tagKey(repo, tag string) string                  { return repo + ":" + tag }
func manifestKey(repo string, d digest.Digest) string { return repo + "@" + d.String() }
func blobKey(repo string, d digest.Digest) string     { return repo + "/blobs/" + d.String() }

// keys are all of a goal: its tag first, then from the root down.
func (g *goal) keys() []string {
	var all []string
	if g.Target.Tag != "" {
		all = append(all, tagKey(g.repo, g.Target.Tag))
	}
	for _, m := range slices.Backward(g.manifests) {
		all = append(all, manifestKey(g.repo, m.Digest))
	}
	for _, b := range g.blobs {
		all = append(all, blobKey(g.repo, b.Digest))
	}
	return all
}

// goals reads from the bundle what each placement needs.
func goals(b *open.Bundle, places []place.Placement) ([]*goal, error) {
	all := make([]*goal, 0, len(places))
	for _, pl := range places {
		g := &goal{Placement: pl, repo: pl.Target.Repository()}
		var err error
		if g.manifests, g.blobs, err = b.BlobsOf(pl.Root); err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
}

// A survey is what the target registry has of all that is needed. A manifest says
// nothing of what it names: a clean-up may have taken that, or somebody has copied
// a part only.
type survey struct {
	client *remote.Client

	mu      sync.Mutex
	lacks   map[string]bool          // by key; false: it is there
	stands  map[string]digest.Digest // by tag key: what it stands for
	have    map[digest.Digest]string // a repository that has a blob
	present int64                    // bytes of blobs that are where they are needed

	known    sync.Once // who is asking
	knownErr error
}

// survey asks for everything once.
func (p *Pusher) survey(ctx context.Context, all []*goal) (*survey, error) {
	p.Pr.Phase("comparing with the registry", 0)
	defer p.Pr.End()
	s := &survey{
		client: p.Client, lacks: make(map[string]bool),
		stands: make(map[string]digest.Digest), have: make(map[digest.Digest]string),
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.Jobs)
	asked := make(map[string]bool)
	ask := func(goal *goal, key string, f func(context.Context) error) {
		if asked[key] {
			return
		}
		asked[key] = true
		g.Go(func() error {
			if err := f(gctx); err != nil {
				return remote.AboutOne(goal.Source, err)
			}
			return nil
		})
	}
	for _, goal := range all {
		repo := goal.repo
		if tag := goal.Target.Tag; tag != "" {
			ask(goal, tagKey(repo, tag), func(ctx context.Context) error { return s.tag(ctx, repo, tag) })
		}
		for _, d := range goal.manifests {
			ask(goal, manifestKey(repo, d.Digest), func(ctx context.Context) error { return s.manifest(ctx, repo, d.Digest) })
		}
		for _, d := range goal.blobs {
			ask(goal, blobKey(repo, d.Digest), func(ctx context.Context) error { return s.blob(ctx, repo, d) })
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return s, s.lists(ctx, all, p.Jobs)
}

// lists asks whether the referrers that are there are in the lists of their
// subjects, which registries without the API keep under a tag.
func (s *survey) lists(ctx context.Context, all []*goal, jobs int) error {
	subjects := make(map[string][]*goal)
	for _, g := range all {
		if g.Subject != "" && !s.lacks[manifestKey(g.repo, g.Root.Digest)] {
			key := manifestKey(g.repo, g.Subject)
			subjects[key] = append(subjects[key], g)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for _, goals := range subjects {
		g.Go(func() error {
			repo := goals[0].repo
			list, err := s.client.Referrers(ctx, repo, goals[0].Subject)
			if err != nil {
				return s.unanswered(ctx, repo, err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, goal := range goals {
				if !slices.ContainsFunc(list, func(d ocispec.Descriptor) bool { return d.Digest == goal.Root.Digest }) {
					s.lacks[manifestKey(repo, goal.Root.Digest)] = true
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// tag notes what a tag stands for.
func (s *survey) tag(ctx context.Context, repo, tag string) error {
	d, ok, err := s.client.HasManifest(ctx, repo, tag)
	if ok {
		s.mu.Lock()
		s.stands[tagKey(repo, tag)] = d
		s.mu.Unlock()
	}
	return s.unanswered(ctx, repo, err)
}

// manifest notes whether a repository has one.
func (s *survey) manifest(ctx context.Context, repo string, want digest.Digest) error {
	d, ok, err := s.client.HasManifest(ctx, repo, want.String())
	s.mu.Lock()
	s.lacks[manifestKey(repo, want)] = !ok || d != want
	s.mu.Unlock()
	return s.unanswered(ctx, repo, err)
}

// blob notes whether a repository has one.
func (s *survey) blob(ctx context.Context, repo string, d ocispec.Descriptor) error {
	has, err := s.client.HasBlob(ctx, repo, d)
	s.mu.Lock()
	if s.lacks[blobKey(repo, d.Digest)] = !has; has {
		s.have[d.Digest] = repo
		s.present += d.Size
	}
	s.mu.Unlock()
	return s.unanswered(ctx, repo, err)
}

// unanswered bears questions that are refused: the push may be taken all the same.
// But where the credentials are wrong they are not sent again with each question,
// which might lock the user out.
func (s *survey) unanswered(ctx context.Context, repo string, err error) error {
	if err == nil || !remote.Refused(err) {
		return err
	}
	var e *remote.Error
	if !errors.As(err, &e) || e.Kind != remote.Auth {
		return nil
	}
	s.known.Do(func() {
		if s.knownErr = s.client.Ping(ctx, repo); bearable(s.knownErr) {
			s.knownErr = nil
		}
	})
	return s.knownErr
}

// A todo is what the target lacks.
type todo struct {
	uploads   []*upload
	manifests []manifestPush // children before the indexes that name them
	tags      []manifestPush
	arrivals  []*arrival // one for each tag
	absent    []*upload  // blobs on media that are not there
	required  []*upload  // of a delta: layers that only the registry itself can have
}

// An upload is one blob and the repositories that lack it.
type upload struct {
	desc    ocispec.Descriptor
	missing []string
	have    string // a repository of the target that has it, if any
	needed  []*arrival
	source  string // an image that needs it
}

// An arrival is one tag whose image waits for blobs.
type arrival struct{ blobs int }

type manifestPush struct {
	repo, tag string // without a tag, it is pushed by digest
	desc      ocispec.Descriptor
	source    string
	kind      place.Kind
	replaces  digest.Digest // what the tag stands for so far
}

func (m manifestPush) key() string {
	if m.tag != "" {
		return tagKey(m.repo, m.tag)
	}
	return manifestKey(m.repo, m.desc.Digest)
}

// todo lists what has to be pushed, blobs in the order of the bundle, so that each
// medium of it is read from front to back.
func (s *survey) todo(b *open.Bundle, all []*goal) *todo {
	plan := &todo{}
	queued := make(map[string]bool)
	uploads := make(map[digest.Digest]*upload)
	queue := func(list *[]manifestPush, m manifestPush) {
		if !queued[m.key()] {
			queued[m.key()] = true
			*list = append(*list, m)
		}
	}
	for _, g := range all {
		tagged := g.Target.Tag != ""
		var arrives *arrival
		for _, m := range g.manifests {
			if s.lacks[manifestKey(g.repo, m.Digest)] && !(tagged && m.Digest == g.Root.Digest) {
				queue(&plan.manifests, manifestPush{repo: g.repo, desc: m, source: g.Source, kind: g.Kind})
			}
		}
		if tagged && s.lacksTag(g) {
			m := manifestPush{repo: g.repo, tag: g.Target.Tag, desc: g.Root, source: g.Source, kind: g.Kind, replaces: s.replaced(g)}
			if !queued[m.key()] {
				arrives = new(arrival)
				plan.arrivals = append(plan.arrivals, arrives)
			}
			queue(&plan.tags, m)
		}
		for _, d := range g.blobs {
			key := blobKey(g.repo, d.Digest)
			if !s.lacks[key] {
				continue
			}
			u := uploads[d.Digest]
			if u == nil {
				u = &upload{desc: d, source: g.Source, have: s.have[d.Digest]}
				uploads[d.Digest] = u
			}
			if arrives != nil {
				arrives.blobs++
				u.needed = append(u.needed, arrives)
			}
			if !queued[key] {
				queued[key] = true
				u.missing = append(u.missing, g.repo)
			}
		}
	}
	for _, d := range b.Blobs {
		if u := uploads[d.Digest]; u != nil {
			delete(uploads, d.Digest)
			if b.LeftOut(d.Digest) && !b.Has(d.Digest) {
				plan.required = append(plan.required, u)
				continue
			}
			if !b.Has(d.Digest) {
				plan.absent = append(plan.absent, u)
				continue
			}
			plan.uploads = append(plan.uploads, u)
		}
	}
	return plan
}

// lacksTag reports whether the tag of a goal has to be pushed: also where it
// stands for a manifest that is not there by its digest.
func (s *survey) lacksTag(g *goal) bool {
	return s.stands[tagKey(g.repo, g.Target.Tag)] != g.Root.Digest || s.lacks[manifestKey(g.repo, g.Root.Digest)]
}

// replaced is what the tag of a goal stands for where that is something else.
func (s *survey) replaced(g *goal) digest.Digest {
	if old := s.stands[tagKey(g.repo, g.Target.Tag)]; old != g.Root.Digest {
		return old
	}
	return ""
}

// lacking reports whether anything of a goal has to be pushed.
func (s *survey) lacking(g *goal) bool {
	return g.Target.Tag != "" && s.lacksTag(g) || slices.ContainsFunc(g.keys(), func(k string) bool { return s.lacks[k] })
}

// total is the number of bytes that have to be read from the bundle.
func (p *todo) total() int64 {
	var n int64
	for _, u := range p.uploads {
		n += u.desc.Size
	}
	return n
}

// inside is the number of bytes that the registry has to take from itself.
func (p *todo) inside() (n int64) {
	for _, u := range p.required {
		n += u.desc.Size
	}
	return n
}

// lacks lists the blobs that are not there to be pushed.
func (p *todo) lacks() []ocispec.Descriptor {
	var all []ocispec.Descriptor
	for _, u := range p.absent {
		all = append(all, u.desc)
	}
	return all
}

// repositories are those that something is pushed to, each once.
func (p *todo) repositories() []string {
	var all []string
	for _, u := range slices.Concat(p.uploads, p.required) {
		all = append(all, u.missing...)
	}
	for _, m := range slices.Concat(p.manifests, p.tags) {
		all = append(all, m.repo)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// without drops what would be pushed to some repositories.
func (p *todo) without(closed map[string]error) {
	dropped := func(m manifestPush) bool { return closed[m.repo] != nil }
	p.manifests = slices.DeleteFunc(p.manifests, dropped)
	p.tags = slices.DeleteFunc(p.tags, dropped)
	for _, u := range slices.Concat(p.uploads, p.required, p.absent) {
		u.missing = slices.DeleteFunc(u.missing, func(repo string) bool { return closed[repo] != nil })
	}
	idle := func(u *upload) bool { return len(u.missing) == 0 }
	p.uploads, p.required, p.absent = slices.DeleteFunc(p.uploads, idle), slices.DeleteFunc(p.required, idle), slices.DeleteFunc(p.absent, idle)
}
