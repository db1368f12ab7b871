package open

import (
	"context"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"bundle/layout"
)

// maxMedia is how many media are read beside each other.
const maxMedia = 16

// Medium names the folder that a blob is read from; empty where none has it.
func (b *Bundle) Medium(d digest.Digest) string {
	e, ok := b.Reader.Entry(layout.BlobName(d))
	if !ok {
		return ""
	}
	return b.mediumOf(e)
}

func (b *Bundle) mediumOf(e layout.Entry) string {
	if b.Parts == nil {
		return ""
	}
	return filepath.Dir(b.Parts.PathAt(e.Offset))
}

// ByMedium does something with a number of things, jobs at once. media says where
// each is read from: the next one done is of the medium that the fewest are at, so
// that several media are read beside each other, each from front to back. The first
// error ends it.
func ByMedium(ctx context.Context, jobs int, media []string, do func(ctx context.Context, i int) error) error {
	q := &mediaQueue{waiting: make(map[string][]int), busy: make(map[string]int)}
	for i, m := range media {
		if q.waiting[m] == nil {
			q.order = append(q.order, m)
		}
		q.waiting[m] = append(q.waiting[m], i)
	}
	g, ctx := errgroup.WithContext(ctx)
	for range min(jobs, len(media)) {
		g.Go(func() error {
			for ctx.Err() == nil {
				i, medium, ok := q.next()
				if !ok {
					return nil
				}
				err := do(ctx, i)
				q.done(medium)
				if err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}

// A mediaQueue has what is to be done, by medium.
type mediaQueue struct {
	mu      sync.Mutex
	order   []string // of media, as they came
	waiting map[string][]int
	busy    map[string]int
}

func (q *mediaQueue) next() (i int, medium string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.order {
		if len(q.waiting[m]) > 0 && (!ok || q.busy[m] < q.busy[medium]) {
			medium, ok = m, true
		}
	}
	if !ok {
		return 0, "", false
	}
	i = q.waiting[medium][0]
	q.waiting[medium] = q.waiting[medium][1:]
	q.busy[medium]++
	return i, medium, true
}

func (q *mediaQueue) done(medium string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy[medium]--
}

// Media is how many folders the bundle lies in, up to as many as are read beside each
// other.
func (b *Bundle) Media() int {
	if b.Parts == nil {
		return 1
	}
	var folders []string
	for _, path := range b.Parts.Files() {
		folders = append(folders, filepath.Dir(path))
	}
	return distinct(folders)
}

// distinct counts media, up to as many as are read beside each other.
func distinct(media []string) int {
	seen := make(map[string]bool)
	for _, m := range media {
		seen[m] = true
	}
	return min(len(seen), maxMedia)
}
