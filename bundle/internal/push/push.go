// Package push moves the content of a bundle into a registry.
//
// The contract: the registry is asked first and sent only what it lacks; blobs
// come before manifests, manifests before tags, so nothing that a client can see
// changes before every blob has arrived under its digest.
//
//	p := &push.Pusher{Client: client, Bundle: b, Jobs: 6}
//	images, bytes, err := p.Run(ctx, places, dryRun)
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

	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// A Pusher moves placements into the target registry: first what is missing is
// asked for, then blobs, then manifests, then tags. Nothing that a client can
// see is written before every blob has arrived under its digest.
type Pusher struct {
	Client *remote.Client
	Bundle *open.Bundle
	Jobs   int
	Chunk  int64 // largest body of a request of an upload; 0: no limit
	Pr     progress.Reporter
}

// An Image is one reference, old and new.
type Image struct {
	Source string `json:"source"`
	Target string `json:"target"`
	Digest string `json:"digest"`
	Pushed bool   `json:"pushed"` // false: the target had it

	SourceDigest string `json:"sourceDigest,omitempty"` // where a choice of platforms changed it: what the source has
}

// Run compares, preflights and pushes, and says what became of each place. A
// dry run ends before the first push, and counts what it would send.
//
// Where blobs that the registry lacks are on media that are not there, the others
// are pushed, nothing that a client can see is, and the error is an
// [*open.MissingError] beside valid results.
func (p *Pusher) Run(ctx context.Context, places []place.Placement, dryRun bool) ([]Image, Bytes, error) {
	plan, err := p.plan(ctx, places)
	if err != nil {
		return nil, Bytes{}, err
	}
	images := plan.images(places, p.Bundle.Record)
	res := Bytes{Present: plan.present}
	if plan.empty() {
		return images, res, nil
	}
	if err := p.preflight(ctx, plan); err != nil {
		return nil, res, err
	}
	lacking := p.Bundle.Lacking(plan.absent)
	if dryRun {
		res.Sent = plan.total()
		return images, res, lacking
	}
	if res, err = p.pushBlobs(ctx, plan); err == nil {
		err = lacking
	}
	if err != nil {
		return images, res, err
	}
	if err := p.pushManifests(ctx, plan.manifests); err != nil {
		return images, res, err
	}
	return images, res, p.pushTags(ctx, plan.tags)
}

// A Bytes counts bytes of blobs.
type Bytes struct {
	Sent    int64 `json:"sent"`    // moved over the network
	Mounted int64 `json:"mounted"` // taken by the registry from another of its repositories
	Present int64 `json:"present"` // there already
}

// preflight tries, for each project of the registry, whether a push would be
// allowed, before anything is written.
func (p *Pusher) preflight(ctx context.Context, plan *todo) error {
	tried := make(map[string]bool)
	try := func(repo string) error {
		host, path, _ := strings.Cut(repo, "/")
		project, _, _ := strings.Cut(path, "/")
		if tried[host+"/"+project] {
			return nil
		}
		tried[host+"/"+project] = true
		return p.Client.Preflight(ctx, repo)
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

// pushBlobs sends blobs. One that is damaged, or that the medium does not give,
// keeps no other from being sent: all that are so are in the error.
func (p *Pusher) pushBlobs(ctx context.Context, plan *todo) (Bytes, error) {
	res := Bytes{Present: plan.present}
	var mu sync.Mutex
	p.Pr.Phase("pushing", plan.total())
	defer p.Pr.End()
	damage := make([]error, len(plan.uploads))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.Jobs)
	for i, u := range plan.uploads {
		g.Go(func() error {
			r, err := p.pushBlob(gctx, u)
			mu.Lock()
			defer mu.Unlock()
			res.Sent += r.Sent
			res.Mounted += r.Mounted
			res.Present += r.Present
			if ofBundle(err) {
				damage[i], err = err, nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return res, err
	}
	return res, errors.Join(damage...)
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
func (p *Pusher) pushBlob(ctx context.Context, u *upload) (Bytes, error) {
	var sum Bytes
	from := u.have
	for i, repo := range u.missing {
		src := remote.BlobSource{
			Open:      func() (io.ReadCloser, error) { return p.Bundle.OpenBlob(u.desc.Digest) },
			MountFrom: from,
			Missing:   true, // the survey has asked
			Chunk:     p.Chunk,
		}
		if i == 0 {
			src.Progress = p.Pr.Add
		}
		r, err := p.Client.PushBlob(ctx, repo, u.desc, src)
		if err != nil {
			return sum, p.explain(u, err)
		}
		if i == 0 && r.Sent == 0 {
			p.Pr.Skip(u.desc.Size)
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
func (p *Pusher) pushManifests(ctx context.Context, list []manifestPush) error {
	byRepo := make(map[string][]manifestPush)
	for _, m := range list {
		byRepo[m.repo] = append(byRepo[m.repo], m)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.Jobs)
	for _, repo := range slices.Sorted(maps.Keys(byRepo)) {
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

func (p *Pusher) pushTags(ctx context.Context, list []manifestPush) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.Jobs)
	for _, m := range list {
		g.Go(func() error {
			if err := p.pushManifest(ctx, m); err != nil {
				return err
			}
			p.Pr.Done(m.repo + ":" + m.ref)
			return nil
		})
	}
	return g.Wait()
}

func (p *Pusher) pushManifest(ctx context.Context, m manifestPush) error {
	doc, err := p.Bundle.Document(m.desc)
	if err != nil {
		return fmt.Errorf("%s: %w", m.source, err)
	}
	ref := m.ref
	if ref == "" {
		ref = m.desc.Digest.String()
	}
	if err := p.Client.PushManifest(ctx, m.repo, ref, m.desc, doc); err != nil {
		return fmt.Errorf("%s: %w", m.source, err)
	}
	return nil
}

// explain tells content of the bundle that failed its check from a registry that
// failed, and says where it lies.
func (p *Pusher) explain(u *upload, err error) error {
	err = fmt.Errorf("%s: %w", u.source, err)
	if !ofBundle(err) {
		return err
	}
	var format *layout.FormatError
	if errors.As(err, &format) {
		err = fault.Damage(layout.BlobName(u.desc.Digest), err)
	}
	return open.ExplainRead(p.Bundle.Locate(u.desc.Digest, err))
}
