package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// A run carries a todo out.
type run struct {
	*Pusher
	todo   *todo
	closed map[string]error // repositories that cannot be pushed to

	mu       sync.Mutex
	bytes    Bytes
	refusals map[string]error // by key
	trouble  int              // see bear
}

// preflight tries for every repository whether a push would be allowed, before
// anything is written, and takes those that are closed out of the plan.
func (r *run) preflight(ctx context.Context) error {
	repos := r.todo.repositories()
	if len(repos) == 0 {
		return nil
	}
	if err := r.Client.Ping(ctx, repos[0]); err != nil && !bearable(err) {
		return err
	}
	r.closed = make(map[string]error)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.Jobs)
	for _, repo := range repos {
		g.Go(func() error {
			err := r.Client.MayPush(gctx, repo)
			if err == nil || !answered(err) {
				return err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.closed[repo] = err
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	r.todo.without(r.closed)
	if len(r.closed) > 0 && r.FailFast {
		return &RefusedError{closed: r.closed, total: len(repos), hint: r.Client.AskOwner(r.closed)}
	}
	return nil
}

// push sends blobs, then manifests, then tags: first of images and charts, so that
// nobody waits for a signature. before is asked when all blobs are there.
func (r *run) push(ctx context.Context, before func() error) error {
	r.Pr.Phase("pushing", r.todo.total()+r.todo.inside())
	progress.Expect(r.Pr, len(r.todo.tags), "image")
	for _, a := range r.todo.arrivals {
		if a.blobs == 0 {
			progress.Ready(r.Pr)
		}
	}
	defer r.Pr.End()
	if err := r.pushBlobs(ctx); err != nil {
		return err
	}
	if err := before(); err != nil {
		return err
	}
	attached := func(m manifestPush) bool { return m.kind == place.Referrer }
	for _, want := range []bool{false, true} {
		other := func(m manifestPush) bool { return attached(m) != want }
		if err := r.pushManifests(ctx, slices.DeleteFunc(slices.Clone(r.todo.manifests), other)); err != nil {
			return err
		}
		if err := r.pushTags(ctx, slices.DeleteFunc(slices.Clone(r.todo.tags), other)); err != nil {
			return err
		}
	}
	return nil
}

// pushPart sends the blobs that are there, of a bundle of which others are not.
func (r *run) pushPart(ctx context.Context) error {
	r.Pr.Phase("pushing", r.todo.total()+r.todo.inside())
	defer r.Pr.End()
	return r.pushBlobs(ctx)
}

// pushBlobs sends blobs. One that is damaged, or that the medium does not give,
// keeps no other from being sent: all that are so are in the error.
func (r *run) pushBlobs(ctx context.Context) error {
	damage := make([]error, len(r.todo.uploads))
	required, rctx := errgroup.WithContext(ctx)
	required.SetLimit(r.Jobs)
	for _, u := range r.todo.required {
		required.Go(func() error { return r.pushRequired(rctx, u) })
	}
	if err := required.Wait(); err != nil {
		return err
	}
	media := make([]string, len(r.todo.uploads))
	for i, u := range r.todo.uploads {
		media[i] = r.Bundle.Medium(u.desc.Digest)
	}
	err := open.ByMedium(ctx, r.Jobs, media, func(ctx context.Context, i int) error {
		err := r.pushBlob(ctx, r.todo.uploads[i])
		if ofBundle(err) {
			damage[i], err = err, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(damage...)
}

// ofBundle reports whether the bundle or its medium is to blame for err.
func ofBundle(err error) bool {
	var format *layout.FormatError
	var unread *layout.ReadError
	return errors.As(err, &format) || errors.As(err, &unread)
}

// pushBlob sends a blob to the first repository that lacks it and has the
// registry mount it in the others. Progress counts it once: sent, or skipped
// where the registry had it under another name.
func (r *run) pushBlob(ctx context.Context, u *upload) error {
	return r.pushFrom(ctx, u, func() (io.ReadCloser, error) { return r.Bundle.OpenBlob(u.desc.Digest) })
}

// pushRequired has the registry mount a layer from where it has it. One that does
// not mount gets it through this machine.
func (r *run) pushRequired(ctx context.Context, u *upload) error {
	err := r.pushFrom(ctx, u, func() (io.ReadCloser, error) { return r.fromRegistry(ctx, u) })
	var gone *goneError
	if errors.As(err, &gone) {
		host, _, _ := strings.Cut(u.have, "/")
		return r.lacking(host, []*upload{u}, true)
	}
	var wrong *WrongError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s: %w", u.source, wrong)
	}
	return err
}

func (r *run) pushFrom(ctx context.Context, u *upload, open func() (io.ReadCloser, error)) error {
	from := u.have
	for i, repo := range u.missing {
		src := remote.BlobSource{
			Open:      open,
			MountFrom: from,
			Missing:   true, // the survey has asked
			Chunk:     r.Chunk,
		}
		if i == 0 {
			src.Progress = r.Pr.Add
		}
		res, err := r.Client.PushBlob(ctx, repo, u.desc, src)
		if err != nil {
			err := r.bear(blobKey(repo, u.desc.Digest), r.explain(ctx, u.desc, err))
			if ofBundle(err) {
				return err // it names its images
			}
			if err != nil {
				return fmt.Errorf("%s: %w", u.source, err)
			}
			continue
		}
		if i == 0 && res.Sent == 0 {
			r.Pr.Skip(u.desc.Size)
		}
		r.count(u, res)
		from = repo
	}
	r.arrived(u)
	return nil
}

// arrived counts the images that a blob was the last one of.
func (r *run) arrived(u *upload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range u.needed {
		if a.blobs--; a.blobs == 0 {
			progress.Ready(r.Pr)
		}
	}
}

func (r *run) count(u *upload, res remote.PushResult) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = 0
	r.bytes.Sent += res.Sent
	switch {
	case res.Mounted:
		r.bytes.Mounted += u.desc.Size
	case res.Existed:
		r.bytes.Present += u.desc.Size
	}
}

// pushManifests sends manifests in order within a repository, and repositories
// beside each other.
func (r *run) pushManifests(ctx context.Context, list []manifestPush) error {
	byRepo := make(map[string][]manifestPush)
	for _, m := range list {
		byRepo[m.repo] = append(byRepo[m.repo], m)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.Jobs)
	for _, repo := range slices.Sorted(maps.Keys(byRepo)) {
		g.Go(func() error {
			for _, m := range byRepo[repo] {
				if _, err := r.pushManifest(ctx, m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (r *run) pushTags(ctx context.Context, list []manifestPush) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.Jobs)
	for _, m := range list {
		g.Go(func() error {
			ok, err := r.pushManifest(ctx, m)
			if ok {
				r.Pr.Done(m.key())
			}
			return err
		})
	}
	return g.Wait()
}

// pushManifest sends one, unless something that it names was refused, and reports
// whether the registry has it.
func (r *run) pushManifest(ctx context.Context, m manifestPush) (bool, error) {
	doc, err := r.Bundle.Document(m.desc)
	if err != nil {
		return false, fmt.Errorf("%s: %w", m.source, err)
	}
	if lost, err := r.lost(m, doc); lost || err != nil {
		return false, err
	}
	if err := r.Client.PushManifest(ctx, m.repo, m.tag, m.desc, doc); err != nil {
		if err := r.bear(m.key(), m.explain(err)); err != nil {
			return false, fmt.Errorf("%s: %w", m.source, err)
		}
		return false, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = 0
	return true, nil
}

// lost reports whether something that a manifest names was refused. Then the
// manifest is, for the same reason.
func (r *run) lost(m manifestPush, doc []byte) (bool, error) {
	children, err := layout.Children(m.desc.MediaType, doc)
	if err != nil {
		return false, fmt.Errorf("%s: %w", m.source, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range children {
		key := blobKey(m.repo, c.Digest)
		if layout.IsManifest(c.MediaType) {
			key = manifestKey(m.repo, c.Digest)
		}
		if cause := r.refusals[key]; cause != nil {
			r.refusals[m.key()] = cause
			return true, nil
		}
	}
	return false, nil
}

const noReferrers = "--no-referrers"

// explain adds what is known of a push to the hint of its refusal.
func (m manifestPush) explain(err error) error {
	var e *remote.Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case m.replaces != "" && e.Fixed():
		return fault.WithHint(err, "the tag stands for "+m.replaces.String()+", and the registry may not let tags be changed;\nhave it deleted, or push below another path with --registry HOST/PREFIX")
	case m.kind == place.Referrer && !strings.Contains(e.Hint, noReferrers):
		return fault.WithHint(err, strings.TrimPrefix(e.Hint+"\n"+noReferrers+" leaves signatures, SBOMs and the like out", "\n"))
	}
	return err
}

// explain tells content of the bundle that failed its check from a registry that
// failed, and says where it lies.
func (r *run) explain(ctx context.Context, d ocispec.Descriptor, err error) error {
	if !ofBundle(err) {
		return err
	}
	var format *layout.FormatError
	if errors.As(err, &format) {
		err = format // where it was on its way to is of no matter
	}
	return open.ExplainRead(r.Bundle.Locate(ctx, d.Digest, err))
}
