// Package stock asks a registry which blobs it has: those that the records of imports
// name (bundle/internal/history), or all that the tags of some repositories lead to.
//
// The contract: what is found was asked for by digest and is there, of the size that
// it is said to have, in the repositories that stand beside it. Each blob is asked
// for once, in one repository, unless it is not there. What a registry does not let
// this client see is left out and told of, and nothing is downloaded but manifests.
//
//	asker := stock.Asker{Client: client, Registry: registry, Jobs: 6}
//	found, err := asker.Recorded(ctx, past)
package stock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/history"
	"bundle/bundle/internal/inventory"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/remote"
)

// An Asker asks one registry, below one prefix.
type Asker struct {
	Client   *remote.Client
	Registry place.Registry
	Jobs     int // questions at once; 0: one
}

// A Found is what there is.
type Found struct {
	Blobs        []inventory.Blob // sorted by digest, each once
	Repositories int              // that were asked
	Lost         int              // blobs that are named, and that no repository has
	LeftOut      []string         // what could not be asked for, and why
}

// Recorded looks for what the names in the records of a registry need.
func (a Asker) Recorded(ctx context.Context, past history.Past) (*Found, error) {
	s := a.search()
	needed := past.Needed()
	for _, repo := range slices.Sorted(maps.Keys(needed)) {
		c := needed[repo]
		for _, b := range c.Blobs {
			s.add(repo, b.Digest, b.Size)
		}
		if len(c.Blobs) > 0 {
			continue
		}
		// A record that names manifests alone: they say the rest themselves.
		for _, m := range c.Manifests {
			if err := s.follow(ctx, repo, m.Digest.String()); err != nil {
				return nil, err
			}
		}
	}
	return s.prove(ctx, len(needed))
}

// Tagged looks for what the tags of repositories below the prefix lead to. One that
// does not exist is an error, unless gone is true.
func (a Asker) Tagged(ctx context.Context, repos []string, gone bool) (*Found, error) {
	s := a.search()
	tags := make([][]string, len(repos))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(a.Jobs, 1))
	for i, repo := range repos {
		g.Go(func() (err error) {
			tags[i], err = a.Client.Tags(gctx, a.full(repo))
			tags[i] = slices.DeleteFunc(tags[i], func(tag string) bool { return !isName(a.full(repo) + ":" + tag) })
			if missing(err) && gone {
				return nil
			}
			return s.bear(gctx, repo, err)
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	g, gctx = errgroup.WithContext(ctx)
	g.SetLimit(max(a.Jobs, 1))
	for i, repo := range repos {
		for _, tag := range tags[i] {
			g.Go(func() error { return s.follow(gctx, repo, tag) })
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return s.prove(ctx, len(repos))
}

// All lists the repositories below the prefix, but for that of the records.
func (a Asker) All(ctx context.Context) ([]string, error) {
	list, err := a.Client.Catalog(ctx, a.Registry.Host)
	if err != nil {
		return nil, err
	}
	below := strings.TrimPrefix(a.Registry.Prefix+"/", "/")
	var repos []string
	for _, full := range list {
		if repo, ok := strings.CutPrefix(full, below); ok && repo != history.Repository && isRepository(a.full(repo)) {
			repos = append(repos, repo)
		}
	}
	slices.Sort(repos)
	return slices.Compact(repos), nil
}

func (a Asker) full(repo string) string { return a.Registry.String() + "/" + repo }

// A search gathers what may be there.
type search struct {
	Asker
	mu     sync.Mutex
	blobs  map[digest.Digest]*inventory.Blob
	read   map[string]bool // manifests, by repository and digest
	closed map[string]bool // repositories that do not answer

	leftOut []string
	refusal error // the first

	known    sync.Once // who is asking
	knownErr error
}

func (a Asker) search() *search {
	return &search{Asker: a, blobs: make(map[digest.Digest]*inventory.Blob), read: make(map[string]bool), closed: make(map[string]bool)}
}

// add notes that a blob may be in a repository.
func (s *search) add(repo string, d digest.Digest, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blobs[d]
	if b == nil && len(s.blobs) > inventory.MaxBlobs {
		return // told of by prove
	}
	if b == nil {
		b = &inventory.Blob{Digest: d, Size: size}
		s.blobs[d] = b
	}
	if b.Size == size && len(b.Repositories) < inventory.MaxRepositories && !slices.Contains(b.Repositories, repo) {
		b.Repositories = append(b.Repositories, repo)
	}
}

// first reports whether a manifest was not read yet.
func (s *search) first(repo string, d digest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := repo + "@" + d.String()
	seen := s.read[key]
	s.read[key] = true
	return !seen
}

// leave tells of something that is not looked at.
func (s *search) leave(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = cmp.Or(s.refusal, err)
	s.leftOut = append(s.leftOut, fmt.Sprintf("%s is left out: %v", what, err))
}

// close leaves out a repository, once.
func (s *search) close(repo string, err error) {
	s.mu.Lock()
	known := s.closed[repo]
	s.closed[repo] = true
	s.mu.Unlock()
	if !known {
		s.leave(repo, err)
	}
}

func (s *search) isClosed(repo string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed[repo]
}

// bear leaves out a repository that this client may not see. But where the
// credentials are wrong they are not sent again with each question, which might lock
// the user out.
func (s *search) bear(ctx context.Context, repo string, err error) error {
	if err == nil || !remote.Refused(err) {
		return err
	}
	var e *remote.Error
	if errors.As(err, &e) && e.Kind == remote.Auth {
		s.known.Do(func() {
			if pinged := s.Client.Ping(ctx, s.full(repo)); pinged != nil {
				s.knownErr = err
			}
		})
		if s.knownErr != nil {
			return s.knownErr
		}
	}
	s.close(repo, err)
	return nil
}

// prove asks for each blob in its repositories, until one has it.
func (s *search) prove(ctx context.Context, repos int) (*Found, error) {
	if len(s.blobs) > inventory.MaxBlobs {
		return nil, fmt.Errorf("%s: %d blobs are more than the %d of an inventory", s.Registry, len(s.blobs), inventory.MaxBlobs)
	}
	found := &Found{Repositories: repos, Blobs: make([]inventory.Blob, 0, len(s.blobs))}
	for _, d := range slices.Sorted(maps.Keys(s.blobs)) {
		found.Blobs = append(found.Blobs, *s.blobs[d])
	}
	clear(s.blobs)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(s.Jobs, 1))
	for i := range found.Blobs {
		b := &found.Blobs[i]
		g.Go(func() error {
			repo, err := s.where(gctx, *b)
			b.Repositories = nil
			if repo != "" {
				b.Repositories = []string{repo}
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := len(found.Blobs)
	found.Blobs = slices.DeleteFunc(found.Blobs, func(b inventory.Blob) bool { return len(b.Repositories) == 0 })
	found.Lost = all - len(found.Blobs)
	if len(found.Blobs) == 0 && s.refusal != nil {
		return nil, s.refusal
	}
	slices.Sort(s.leftOut)
	found.LeftOut = s.leftOut
	return found, nil
}

// where finds a repository that has a blob; empty: none has.
func (s *search) where(ctx context.Context, b inventory.Blob) (string, error) {
	for _, repo := range b.Repositories {
		if s.isClosed(repo) {
			continue
		}
		has, err := s.Client.HasSized(ctx, s.full(repo), ocispec.Descriptor{Digest: b.Digest, Size: b.Size})
		if err = s.bear(ctx, repo, err); err != nil {
			return "", err
		}
		if has {
			return repo, nil
		}
	}
	return "", nil
}

// isName says whether a registry can be asked for a name, which it may have told
// itself.
func isName(s string) bool {
	ref, err := name.Parse(s)
	return err == nil && ref.String() == s
}

func isRepository(s string) bool { return isName(s + ":x") }

func missing(err error) bool {
	var e *remote.Error
	return errors.As(err, &e) && e.Kind == remote.NotFound
}
