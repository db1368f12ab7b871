package push

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

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// A Lack is one layer that a delta leaves out, and that nobody has.
type Lack struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	Image  string        `json:"image"` // one that needs it
	Base   record.Base   `json:"base"`  // by whose word it was left out
}

// A LackError says which layers of a delta are neither in the registry nor in a
// bundle that was given.
type LackError struct {
	Registry string `json:"registry"` // where it was looked; empty: nowhere
	Layers   []Lack `json:"layers"`
	Bytes    int64  `json:"bytes"`
	// Gone says that they were there when the import began. Blobs may have been
	// pushed since, but no name has changed that is not said to.
	Gone bool `json:"gone"`
}

// maxLacks is how many lines an error has.
const maxLacks = 20

// Error names them by image and base.
func (e *LackError) Error() string {
	var b strings.Builder
	what := "a layer"
	if n := len(e.Layers); n > 1 {
		what = fmt.Sprintf("%d layers", n)
	}
	switch {
	case e.Registry == "":
		fmt.Fprintf(&b, "%s (%s) that this delta requires, and no bundle given here has:", what, fault.Size(e.Bytes))
	case e.Gone:
		fmt.Fprintf(&b, "%s (%s) that this delta requires went away from %s while the import ran:", what, fault.Size(e.Bytes), e.Registry)
	default:
		fmt.Fprintf(&b, "%s (%s) that this delta requires, and neither %s nor a bundle given here has:", what, fault.Size(e.Bytes), e.Registry)
	}
	for i, l := range e.Layers {
		if i == maxLacks {
			fmt.Fprintf(&b, "\n  and %d more", len(e.Layers)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s (%s) of %s, left out by the word of %s", l.Digest, fault.Size(l.Size), l.Image, l.Base)
	}
	return b.String()
}

// Listed are the layers, one by one.
func (e *LackError) Listed() []fault.Item {
	items := make([]fault.Item, len(e.Layers))
	for i, l := range e.Layers {
		items[i] = fault.Item{Subject: l.Image, State: "missing", Reason: l.Digest.String() + " (" + fault.Size(l.Size) + ")", Where: l.Base.String()}
	}
	return items
}

// Fault tells the ways out.
func (e *LackError) Fault() (fault.Kind, string) {
	if e.Registry == "" {
		return fault.NeedsMore, "name the bundles that have them, too: the delta first, then as many older ones as it takes"
	}
	first := "nothing was changed; "
	if e.Gone {
		first = "the same command says what else is gone; keep clean-ups from running meanwhile;\n"
	}
	return fault.NeedsMore, first + "give the older bundle too: bundle import DELTA OLDER …,\n" +
		"or have `bundle inventory` say what is there, and the bundle exported again with that as its --base,\n" +
		"or have it exported in full, without --base"
}

// A WrongError says that a registry has other content under a digest.
type WrongError struct {
	Repository string
	Digest     digest.Digest
	What       string
}

func (e *WrongError) Error() string {
	return fmt.Sprintf("%s serves other content for %s: %s", e.Repository, e.Digest, e.What)
}

// Fault blames the registry: sending the blob again would not help.
func (e *WrongError) Fault() (fault.Kind, string) {
	return fault.Refused, "the storage of the registry is damaged, or somebody changes what it sends: have the blob deleted there and garbage collected,\nthen import the bundle that has it"
}

// goneError is a layer that is not where it was.
type goneError struct {
	repo string
	desc ocispec.Descriptor
}

func (e *goneError) Error() string {
	return fmt.Sprintf("%s is not in %s any more", e.desc.Digest, e.repo)
}

// find looks for required layers in repositories that do not need them, and returns
// an error that names those that nobody has.
func (r *run) find(ctx context.Context, registry string) error {
	var (
		mu   sync.Mutex
		lost []*upload
	)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.Jobs)
	for _, u := range r.todo.required {
		if u.have != "" {
			continue
		}
		g.Go(func() error {
			err := r.findOne(gctx, u)
			if err == nil && u.have == "" {
				mu.Lock()
				defer mu.Unlock()
				lost = append(lost, u)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return r.lacking(registry, lost, false)
}

// findOne asks one repository after the other.
func (r *run) findOne(ctx context.Context, u *upload) error {
	if r.Elsewhere == nil {
		return nil
	}
	for _, repo := range r.Elsewhere(u.desc.Digest) {
		if slices.Contains(u.missing, repo) {
			continue
		}
		has, err := r.Client.HasBlob(ctx, repo, u.desc)
		if err != nil && !remote.Refused(err) {
			return fmt.Errorf("%s: %w", u.source, err)
		}
		if has && err == nil {
			u.have = repo
			return nil
		}
	}
	return nil
}

// lacking is nil where nothing does.
func (r *run) lacking(registry string, lost []*upload, gone bool) error {
	if len(lost) == 0 {
		return nil
	}
	e := &LackError{Registry: registry, Gone: gone}
	req := r.Bundle.Record.Requires
	for _, l := range req.Layers { // in their order
		for _, u := range lost {
			if u.desc.Digest == l.Digest {
				e.Layers = append(e.Layers, Lack{l.Digest, l.Size, u.source, req.Base(l.Base)})
				e.Bytes += l.Size
				break
			}
		}
	}
	return e
}

// fromRegistry reads a required layer where the registry has it, for one that does
// not mount.
func (r *run) fromRegistry(ctx context.Context, u *upload) (io.ReadCloser, error) {
	rc, err := r.Client.Blob(ctx, u.have, u.desc)
	var e *remote.Error
	if errors.As(err, &e) && e.Kind == remote.NotFound {
		return nil, &goneError{u.have, u.desc}
	}
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{layout.Verifying(rc, u.desc.Size, u.desc.Digest, func(what string) error {
		return &WrongError{u.have, u.desc.Digest, what}
	}), rc}, nil
}

// stillThere asks once more for the required layers, when all that takes long is
// done and nothing that a client can see has changed yet.
func (r *run) stillThere(ctx context.Context, s *survey, all []*goal) error {
	req := r.Bundle.Record.Requires
	if req == nil {
		return nil
	}
	required := make(map[digest.Digest]bool, len(req.Layers))
	for _, l := range req.Layers {
		required[l.Digest] = true
	}
	var (
		mu   sync.Mutex
		lost []*upload
	)
	asked := make(map[string]bool)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.Jobs)
	for _, goal := range all {
		for _, d := range goal.blobs {
			key := blobKey(goal.repo, d.Digest)
			if !required[d.Digest] || asked[key] || r.closed[goal.repo] != nil || r.refusals[key] != nil {
				continue
			}
			asked[key] = true
			g.Go(func() error {
				has, err := s.client.HasBlob(gctx, goal.repo, d)
				if remote.Refused(err) {
					return nil
				}
				if err == nil && !has {
					mu.Lock()
					defer mu.Unlock()
					lost = append(lost, &upload{desc: d, source: goal.Source})
				}
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return r.lacking(r.where(all), lost, true)
}

// deepCheck reads and hashes what the registry says that it has, each blob once.
func (r *run) deepCheck(ctx context.Context, s *survey, all []*goal) error {
	where := make(map[digest.Digest]string)
	descs := make(map[digest.Digest]ocispec.Descriptor)
	for _, goal := range all {
		for _, d := range goal.blobs {
			if !s.lacks[blobKey(goal.repo, d.Digest)] && where[d.Digest] == "" {
				where[d.Digest], descs[d.Digest] = goal.repo, d
			}
		}
	}
	for _, u := range r.todo.required {
		where[u.desc.Digest], descs[u.desc.Digest] = u.have, u.desc
	}
	total := int64(0)
	for _, d := range descs {
		total += d.Size
	}
	r.Pr.Phase("reading what the registry has", total)
	defer r.Pr.End()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.Jobs)
	for d, repo := range where {
		g.Go(func() error { return r.readThrough(gctx, &upload{desc: descs[d], have: repo}) })
	}
	return g.Wait()
}

// readThrough reads a blob to its end.
func (r *run) readThrough(ctx context.Context, u *upload) error {
	rc, err := r.fromRegistry(ctx, u)
	if err == nil {
		_, err = io.Copy(counter{io.Discard, r.Pr.Add}, rc)
		err = errors.Join(err, rc.Close())
	}
	var gone *goneError
	if errors.As(err, &gone) {
		return &WrongError{u.have, u.desc.Digest, "it says that it has this, and then that it has not"}
	}
	return err
}

// counter tells how much goes by.
type counter struct {
	io.Writer
	add func(int64)
}

func (c counter) Write(p []byte) (int, error) {
	c.add(int64(len(p)))
	return c.Writer.Write(p)
}
