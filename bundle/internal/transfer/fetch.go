package transfer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/plan"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// A fetcher brings the blobs of a plan into a writer. Each worker takes a blob
// and streams it; a worker that finds none left takes half of what is missing of
// the blob with the longest way to go, if the registry serves ranges. So a
// single large layer comes over several connections, and many layers over one
// connection each. The largest come first: they are the ones that could be late.
//
// For a writer that wants them in order, they come in order, and no further ahead
// of the first that is not complete than a window.
type fetcher struct {
	origins
	w     *layout.Writer
	pr    progress.Reporter
	tally *tally
	jobs  int // at one host

	mu    sync.Mutex
	queue queue
	begun []*fetching
	busy  map[string]int // host → transfers

	ends   map[digest.Digest]int64 // in order: where a blob ends, counted over all of plan.fetch; else nil
	turn   *sync.Cond              // in order: something ended
	failed bool
}

// A fetching is a blob under way.
type fetching struct {
	desc     ocispec.Descriptor
	host     string
	asm      *layout.Assembly
	segments []*segment
	salvage  io.ReadCloser // the blob in a partial file of another plan; nil: none

	pieces bool  // it came, or was left, in several pieces
	whole  bool  // it is not to be split
	ended  bool  // it is being verified
	had    int64 // bytes that did not come from the registry, as progress was told
	moved  int64 // bytes that did
}

// A segment is a range of a blob that one worker fetches from its begin to its
// end. Another worker may move the end.
type segment struct {
	at, to int64
	busy   bool
}

// smallestPiece is what is worth a request of its own, in bytes. It has to be
// larger than a buffer: a worker may be as far ahead of what it has noted. A variable
// for the tests.
var smallestPiece int64 = 8 << 20

// maxHosts is how many hosts are worked at with the full number of transfers.
const maxHosts = 2

// window is how far ahead bytes may be written where they are to be written in
// order. A file system that has no holes fills them in memory, if they are small. A
// variable for the tests.
var window int64 = 32 << 20

// Lower divides the sizes from which on layers are fetched in pieces, and those up to
// which they are fetched ahead, by n. It is for tests, which need less then.
func Lower(n int64) {
	AheadBytes /= n
	smallestPiece /= n
	window /= n
}

func newFetcher(client *remote.Client, p *plan.Plan, w *layout.Writer, jobs int, pr progress.Reporter) *fetcher {
	f := &fetcher{
		origins: origins{client, p}, w: w, pr: pr, jobs: jobs,
		tally: newTally(p.Needs, pr), busy: make(map[string]int),
	}
	f.turn = sync.NewCond(&f.mu)
	all := slices.DeleteFunc(slices.Clone(p.Fetch), func(d ocispec.Descriptor) bool { return !w.Takes(d.Digest) })
	if !w.InOrder() {
		slices.SortStableFunc(all, func(a, b ocispec.Descriptor) int { return cmp.Compare(b.Size, a.Size) })
	}
	f.queue.fill(all, f.host)
	if !w.InOrder() {
		return f
	}
	f.ends = make(map[digest.Digest]int64)
	end := int64(0)
	for _, d := range p.Fetch {
		end += d.Size
		f.ends[d.Digest] = end
	}
	return f
}

// workers is how many transfers run at once.
func (f *fetcher) workers() int { return f.jobs * min(len(f.queue.lines), maxHosts) }

// work fetches until there is nothing left to begin or to help with.
func (f *fetcher) work(ctx context.Context) error {
	for {
		b, s, err := f.next()
		if err != nil {
			f.fail()
		}
		if b == nil || err != nil {
			return err
		}
		if err := f.fetch(ctx, b, s); err != nil {
			f.fail()
			return f.tally.about(b.desc.Digest, f.about(b.desc.Digest, err))
		}
	}
}

// fail lets those end who wait.
func (f *fetcher) fail() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = true
	f.turn.Broadcast()
}

// next chooses what a worker does next, and marks it as busy.
func (f *fetcher) next() (*fetching, *segment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, s, err := f.choose()
	for b == nil && err == nil && f.ends != nil && f.queue.left > 0 && !f.failed {
		f.turn.Wait()
		b, s, err = f.choose()
	}
	if b != nil {
		s.busy = true
		f.busy[b.host]++
	}
	return b, s, err
}

func (f *fetcher) choose() (*fetching, *segment, error) {
	b, s, err := f.begin()
	if b == nil && err == nil {
		b, s = f.help()
	}
	return b, s, err
}

// far reports whether a blob is too far ahead to be begun in order.
func (f *fetcher) far(d ocispec.Descriptor) bool {
	for _, b := range f.begun {
		if f.ends[d.Digest]-(f.ends[b.desc.Digest]-b.desc.Size) > window {
			return true
		}
	}
	return false
}

// pick chooses the host to begin the next blob from: the least busy one or, in
// order, that of the first blob.
func (f *fetcher) pick() (host string, ok bool) {
	if f.ends == nil {
		return f.queue.leastBusy(f.busy, f.jobs)
	}
	d, host, ok := f.queue.first()
	return host, ok && f.busy[host] < f.jobs && !f.far(d)
}

// begin takes the next blob of the queue.
func (f *fetcher) begin() (*fetching, *segment, error) {
	host, ok := f.pick()
	if !ok {
		return nil, nil, nil
	}
	d := f.queue.take(host)
	asm, err := f.w.Assemble(d.Digest)
	if err != nil {
		return nil, nil, err
	}
	piece := asm.Piece()
	b := &fetching{desc: d, host: host, asm: asm, had: piece.To - piece.From}
	for _, r := range asm.Missing() {
		b.segments = append(b.segments, &segment{at: r.From, to: r.To})
		b.had -= r.To - r.From
	}
	if b.had == 0 {
		b.salvage, b.whole = f.w.Salvage(d.Digest)
	}
	b.pieces = b.had > 0 || b.salvage != nil
	if len(b.segments) == 0 {
		b.segments = []*segment{{at: piece.To, to: piece.To}} // to be verified all the same
	}
	f.pr.Skip(b.had)
	f.begun = append(f.begun, b)
	return b, b.segments[0], nil
}

// help finds a segment that nobody works on, or halves the longest one.
func (f *fetcher) help() (*fetching, *segment) {
	var blob *fetching
	var longest *segment
	for _, b := range f.begun {
		if b.ended || f.busy[b.host] >= f.jobs {
			continue
		}
		for _, s := range b.segments {
			left := s.to - s.at
			if !s.busy && left > 0 {
				return b, s
			}
			if f.ends == nil && !b.whole && left >= 2*smallestPiece && (longest == nil || left > longest.to-longest.at) {
				blob, longest = b, s
			}
		}
	}
	if longest == nil {
		return nil, nil
	}
	half := &segment{at: longest.at + (longest.to-longest.at)/2, to: longest.to}
	longest.to = half.at
	blob.segments = append(blob.segments, half)
	blob.pieces = true
	return blob, half
}

// fetch moves one segment, and ends the blob when it was the last one.
func (f *fetcher) fetch(ctx context.Context, b *fetching, s *segment) error {
	for {
		err := f.move(ctx, b, s)
		var damaged *layout.FormatError
		switch {
		case errors.As(err, &damaged) && b.salvage != nil:
			s = f.restart(b)
			continue
		case errors.Is(err, remote.ErrNoRanges):
			if f.giveBack(b, s) {
				return nil
			}
		case err != nil:
			return err
		}
		if !f.leave(b, s) {
			return nil
		}
		if s, err = f.end(b); s == nil {
			return err
		}
	}
}

// move copies a segment into its place.
func (f *fetcher) move(ctx context.Context, b *fetching, s *segment) error {
	f.mu.Lock()
	part := remote.BlobRange{From: s.at, To: s.to, Strict: !b.whole}
	rc := b.salvage
	f.mu.Unlock()
	if part.From == part.To {
		return ctx.Err()
	}
	if rc == nil {
		var err error
		if rc, err = f.open(ctx, b.desc, part); err != nil {
			return err
		}
	}
	defer rc.Close()
	buf := progress.Buffers.Get().(*[]byte)
	defer progress.Buffers.Put(buf)
	at := part.From
	for left := part.To - part.From; left > 0; {
		n, err := rc.Read((*buf)[:min(left, int64(len(*buf)))])
		if n > 0 {
			if _, err := b.asm.WriteAt((*buf)[:n], at); err != nil {
				return err
			}
			at += int64(n)
			left = f.noted(b, s, at)
		}
		if err == io.EOF {
			return nil // where it was to end when it was opened; the end may have moved back again
		}
		if err != nil {
			return err
		}
	}
	if at < part.To {
		return nil // another worker took the rest
	}
	// The end has to be seen, too: there may be more than was promised.
	if _, err := rc.Read((*buf)[:1]); err != nil && err != io.EOF {
		return err
	}
	return nil
}

// noted says how far a segment is, and returns how much of it is left.
func (f *fetcher) noted(b *fetching, s *segment, at int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := at - s.at
	s.at = at
	if b.salvage != nil {
		b.had += n
		f.pr.Skip(n)
	} else {
		b.moved += n
		f.pr.Add(n)
	}
	return s.to - s.at
}

// giveBack undoes the split of a blob that the registry serves only as a whole,
// and reports whether the one who streams what is before will go on to the end
// of s. Otherwise s is for the caller, and what is before it has to be skipped.
func (f *fetcher) giveBack(b *fetching, s *segment) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	b.whole = true
	for _, before := range b.segments {
		if before.to == s.at && before != s && before.busy {
			before.to = s.to
			s.to = s.at
			f.free(b, s)
			return true
		}
	}
	return false
}

// leave ends the work on a segment, and reports whether the caller has to end
// the blob. A segment that could not be fetched stays to be taken again.
func (f *fetcher) leave(b *fetching, s *segment) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free(b, s)
	for _, s := range b.segments {
		if s.busy || s.at < s.to {
			return false
		}
	}
	if b.ended {
		return false
	}
	b.ended = true
	f.busy[b.host]++ // until it is verified
	return true
}

// free is called with mu held.
func (f *fetcher) free(b *fetching, s *segment) {
	s.busy = false
	f.busy[b.host]--
	f.turn.Broadcast()
}

// end verifies a blob. One that was put together from pieces, or from what an
// earlier run left, and is wrong, is fetched once more as a whole: the segment
// returned is the caller's.
func (f *fetcher) end(b *fetching) (*segment, error) {
	err := b.asm.Verify()
	var wrong *layout.ContentError
	if errors.As(err, &wrong) && b.pieces {
		return f.restart(b), nil
	}
	if cerr := b.asm.Close(); err == nil {
		err = cerr // otherwise it is the same
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy[b.host]--
	f.turn.Broadcast()
	f.begun = slices.DeleteFunc(f.begun, func(x *fetching) bool { return x == b })
	if err == nil {
		f.tally.finished(b.desc.Digest)
	}
	return nil, err
}

// restart forgets what is there of a blob, and returns the segment that is all
// of it, for the caller to fetch. It happens once to a blob.
func (f *fetcher) restart(b *fetching) *segment {
	f.mu.Lock()
	defer f.mu.Unlock()
	b.asm.Reset()
	f.pr.Skip(-b.had)
	f.pr.Add(-b.moved)
	piece := b.asm.Piece()
	all := &segment{at: piece.From, to: piece.To, busy: true}
	b.segments = []*segment{all}
	b.had, b.moved, b.salvage = 0, 0, nil
	b.whole, b.pieces, b.ended = true, false, false
	return all
}
