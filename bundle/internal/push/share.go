package push

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/place"
)

// maxShares is how many machines may move one bundle.
const maxShares = 1000

// A Share is one of several lots into which the blobs of a bundle are divided, for
// as many machines. Every blob is in exactly one of them, on whatever machine that
// is worked out, and they weigh about the same. The zero value has all blobs.
type Share struct {
	Index int // from 1 to Of; 0 is the last, for who counts from 0
	Of    int
}

// ParseShare reads I/N.
func ParseShare(s string) (Share, error) {
	i, n, ok := strings.Cut(s, "/")
	index, err := strconv.Atoi(i)
	of, err2 := strconv.Atoi(n)
	if !ok || err != nil || err2 != nil || of < 1 || of > maxShares || index < 0 || index > of {
		return Share{}, fmt.Errorf("want I/N, with N from 1 to %d, and I from 1 to N, or from 0 to N-1", maxShares)
	}
	return Share{Index: index, Of: of}, nil
}

// String is the inverse of [ParseShare].
func (s Share) String() string {
	if s.Of == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Of)
}

// pick returns the blobs of the share. The largest are dealt out first, each to
// who has least (Graham, Bounds on multiprocessing timing anomalies, 1969).
func (s Share) pick(blobs []ocispec.Descriptor) map[digest.Digest]bool {
	sorted := slices.SortedFunc(slices.Values(blobs), func(a, b ocispec.Descriptor) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Digest, b.Digest))
	})
	mine, loads := make(map[digest.Digest]bool), make([]int64, max(s.Of, 1))
	for _, d := range sorted {
		least := 0
		for i, load := range loads {
			if load < loads[least] {
				least = i
			}
		}
		loads[least] += d.Size + 1 // those of no bytes are dealt out too
		if least == s.Index%len(loads) {
			mine[d.Digest] = true
		}
	}
	return mine
}

// A Lot says what became of a share.
type Lot struct {
	Index int   `json:"index"`
	Of    int   `json:"of"`
	Blobs int   `json:"blobs"` // in it
	Total int   `json:"total"` // blobs in all shares
	Bytes Bytes `json:"bytes"`
	Lacks int   `json:"lacks"` // blobs of it that have to be pushed, or were

	refused *RefusedError
}

// Refused is a *[RefusedError] where something did not arrive, else nil.
func (l *Lot) Refused() error {
	if l.refused == nil {
		return nil
	}
	return l.refused
}

// RunBlobs pushes the blobs of a share, and nothing that a client can see. When all
// shares have been, a [Pusher.Run] has only manifests and tags to push. It asks
// [Pusher.Agree] first, as Run does: what will be refused in the end moves no byte.
func (p *Pusher) RunBlobs(ctx context.Context, places []place.Placement, share Share, dryRun bool) (*Lot, error) {
	all, err := goals(p.Bundle, places)
	if err != nil {
		return nil, err
	}
	mine := share.pick(p.Bundle.Blobs)
	for _, g := range all {
		g.blobs = slices.DeleteFunc(slices.Clone(g.blobs), func(d ocispec.Descriptor) bool { return !mine[d.Digest] })
	}
	r, s, err := p.compare(ctx, all)
	if err != nil {
		return nil, err
	}
	if err := p.agree(ctx, s, all); err != nil {
		return nil, err
	}
	r.todo.manifests, r.todo.tags = nil, nil
	if err := r.prove(ctx, s, all); err != nil {
		return nil, err
	}
	if err := r.preflight(ctx); err != nil {
		return nil, err
	}
	lot := &Lot{Index: cmp.Or(share.Index, share.Of, 1), Of: max(share.Of, 1), Blobs: len(mine), Total: len(p.Bundle.Blobs), Lacks: len(r.todo.uploads) + len(r.todo.required)}
	if dryRun {
		r.bytes.Sent, r.bytes.Mounted = r.todo.total(), r.todo.inside()
	} else if err := r.pushPart(ctx); err != nil {
		return nil, err
	}
	lot.Bytes = r.bytes
	refused := &RefusedError{closed: r.closed, total: len(all), hint: r.Client.AskOwner(r.closed), arrived: r.bytes != Bytes{}}
	for _, g := range all {
		if err := r.refusal(g); err != nil {
			refused.add(g, err)
		}
	}
	if refused.lost > 0 {
		lot.refused = refused
	}
	return lot, p.Bundle.Lacking(r.todo.lacks(), nil)
}
