package bundle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/history"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
)

// A memory is what the target registry knows of its imports: it is asked before
// the first push, and told after the last.
type memory struct {
	store    history.Store
	past     history.Past
	warnings []string
}

func newMemory(client *remote.Client, registry place.Registry) *memory {
	return &memory{store: history.Store{Client: client, Registry: registry}}
}

// recall reads what there is. A registry that does not say is taken as it is: tags
// that change are told all the same, and only what came before is not known.
func (m *memory) recall(ctx context.Context) error {
	var (
		said *remote.Error
		err  error
	)
	m.past, err = m.store.Read(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &said):
		m.warnings = append(m.warnings, fmt.Sprintf("earlier imports are not known, so that an older bundle is not told from a newer one: %v", err))
	case err != nil:
		return err
	}
	m.warnings = append(m.warnings, unread(m.store, m.past)...)
	return nil
}

// agree refuses to put an older bundle in the place of a newer one.
func (t *arrival) agree(ctx context.Context, tags []push.Image) error {
	if err := t.past.recall(ctx); err != nil {
		return err
	}
	var changes []history.Replacement
	for _, tag := range tags {
		c, err := history.NewReplacement(t.Registry, tag)
		if err != nil {
			return err
		}
		changes = append(changes, c)
	}
	if t.NoOverwrite && len(changes) > 0 {
		return &history.OverwriteError{Registry: t.Registry.String(), Names: changes}
	}
	this := history.NewBundle(t.bundle)
	undone := t.past.past.Undone(this, changes)
	if len(undone) > 0 && !t.AllowOlder {
		return &history.UndoError{Bundle: this, Registry: t.Registry.String(), Names: undone}
	}
	return nil
}

// add leaves a record of an import. Where the registry does not take it, the
// import is none the worse.
func (m *memory) add(ctx context.Context, b *open.Bundle, images []push.Image, tool string) error {
	im, err := history.NewImport(b, m.store.Registry, images, tool)
	if err == nil {
		err = m.store.Add(ctx, m.past, im)
	}
	if err != nil && fault.KindOf(err) != fault.Interrupted {
		m.warnings = append(m.warnings, fmt.Sprintf("no record of this import stays in the registry: %v", err))
		err = nil
	}
	return err
}

// elsewhere says where the target may have a layer that a delta leaves out: under the
// names that it was left out with, and where earlier imports brought it.
func (m *memory) elsewhere(req *record.Requires, names place.Names) func(digest.Digest) []string {
	if req == nil {
		return nil
	}
	layers := make(map[digest.Digest]record.Layer, len(req.Layers))
	for _, l := range req.Layers {
		layers[l.Digest] = l
	}
	brought := sync.OnceValue(func() map[digest.Digest][]string {
		all := make(map[digest.Digest][]string)
		for _, im := range m.past.Imports {
			for _, c := range im.Repositories {
				for _, b := range c.Blobs {
					if _, wanted := layers[b.Digest]; wanted {
						all[b.Digest] = append(all[b.Digest], m.store.Registry.String()+"/"+c.Repository)
					}
				}
			}
		}
		return all
	})
	return func(d digest.Digest) []string {
		var all []string
		for _, repo := range layers[d].Repositories {
			all = append(all, names.Held(repo)...)
		}
		for _, repo := range brought()[d] {
			if len(all) < maxPlaces && !slices.Contains(all, repo) {
				all = append(all, repo)
			}
		}
		return all
	}
}

// maxPlaces is how many repositories are asked for a layer.
const maxPlaces = 32
