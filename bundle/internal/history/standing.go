package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/name"
	"bundle/bundle/internal/words"
)

// A Standing says what stands under a name that an import put there last.
type Standing struct {
	Name
	By    *Import       // the last that put it there
	State words.State   // present, changed or missing
	Now   digest.Digest // what stands there, where it changed
}

// A Lost is a manifest or blob that a name needs, and that is not in its repository.
type Lost struct {
	Repository string
	Blob
	Manifest bool
}

// Names are those that a past put under its prefix, each by its last import, sorted.
func (p Past) Names() []Standing {
	seen := make(map[string]bool)
	var all []Standing
	for i := range p.Imports {
		for _, n := range p.Imports[i].Names {
			if !seen[n.Name] {
				seen[n.Name] = true
				all = append(all, Standing{Name: n, By: &p.Imports[i]})
			}
		}
	}
	slices.SortFunc(all, func(a, b Standing) int { return cmp.Compare(a.Name.Name, b.Name.Name) })
	return all
}

// Needed is what the repositories need for the names of a past: for each repository,
// what those imports brought to it that are the last for one of its names. What was
// there for a name that stands for something else since is not among it.
func (p Past) Needed() map[string]Content { return contents(p.Names()) }

// contents is Needed for some names.
func contents(names []Standing) map[string]Content {
	type key struct {
		by         *Import
		repository string
	}
	wanted := make(map[key]bool)
	for _, n := range names {
		repo, _, _ := name.Cut(n.Name.Name)
		wanted[key{n.By, repo}] = true
	}
	all := make(map[string]Content)
	for k := range wanted {
		for _, c := range k.by.Repositories {
			if c.Repository != k.repository {
				continue
			}
			sum := all[k.repository]
			sum.Manifests, sum.Blobs = append(sum.Manifests, c.Manifests...), append(sum.Blobs, c.Blobs...)
			all[k.repository] = sum
		}
	}
	for repo, c := range all {
		all[repo] = Content{repo, each(c.Manifests), each(c.Blobs)}
	}
	return all
}

// Check asks the registry whether all that a past says is there still is, with
// jobs questions at once and no answer of more than a few headers.
func (s Store) Check(ctx context.Context, past Past, jobs int) ([]Standing, []Lost, error) {
	names := past.Names()
	needed := contents(names)
	var (
		mu   sync.Mutex
		lost []Lost
	)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(jobs, 1))
	for i := range names {
		g.Go(func() error { return s.checkName(ctx, &names[i]) })
	}
	ask := func(l Lost) {
		g.Go(func() error {
			has, err := s.has(ctx, l)
			if err == nil && !has {
				mu.Lock()
				defer mu.Unlock()
				lost = append(lost, l)
			}
			return err
		})
	}
	for _, repo := range slices.Sorted(maps.Keys(needed)) {
		for _, m := range needed[repo].Manifests {
			ask(Lost{repo, m, true})
		}
		for _, b := range needed[repo].Blobs {
			ask(Lost{repo, b, false})
		}
	}
	err := g.Wait()
	slices.SortFunc(lost, func(a, b Lost) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Digest, b.Digest))
	})
	return names, lost, err
}

func (s Store) checkName(ctx context.Context, n *Standing) error {
	repo, _, _ := name.Cut(n.Name.Name)
	ref := strings.TrimLeft(strings.TrimPrefix(n.Name.Name, repo), ":@")
	d, ok, err := s.Client.HasManifest(ctx, s.Registry.String()+"/"+repo, ref)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", n.Name.Name, err)
	case !ok:
		n.State = words.Missing
	case d != n.Digest:
		n.State, n.Now = words.Changed, d
	default:
		n.State = words.Present
	}
	return nil
}

func (s Store) has(ctx context.Context, l Lost) (ok bool, err error) {
	repo := s.Registry.String() + "/" + l.Repository
	if l.Manifest {
		_, ok, err = s.Client.HasManifest(ctx, repo, l.Digest.String())
	} else {
		ok, err = s.Client.HasBlob(ctx, repo, ocispec.Descriptor{Digest: l.Digest, Size: l.Size})
	}
	if err != nil {
		err = fmt.Errorf("%s@%s: %w", l.Repository, l.Digest, err)
	}
	return ok, err
}
