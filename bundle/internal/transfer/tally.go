package transfer

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/progress"
)

// A tally knows how many blobs each image still waits for, and says when one
// is complete.
type tally struct {
	mu      sync.Mutex
	missing map[string]int
	waiting map[digest.Digest][]string
	pr      progress.Reporter
	pieces  map[digest.Digest]int // of blobs that are cut: how many are still to come
}

func newTally(needs map[string][]digest.Digest, pr progress.Reporter) *tally {
	t := &tally{missing: make(map[string]int), waiting: make(map[digest.Digest][]string), pr: pr}
	for _, name := range slices.Sorted(maps.Keys(needs)) {
		for _, d := range needs[name] {
			t.missing[name]++
			t.waiting[d] = append(t.waiting[d], name)
		}
	}
	return t
}

func (t *tally) finished(d digest.Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pieces[d] > 1 {
		t.pieces[d]--
		return
	}
	for _, name := range t.waiting[d] {
		if t.missing[name]--; t.missing[name] == 0 {
			t.pr.Done(name)
		}
	}
	delete(t.waiting, d)
}

// about names the first image that waits for a blob that failed.
func (t *tally) about(d digest.Digest, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if names := t.waiting[d]; len(names) > 0 {
		return fmt.Errorf("%s: %w", names[0], err)
	}
	return err
}
