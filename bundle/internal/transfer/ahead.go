package transfer

import (
	"cmp"
	"context"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"bundle/bundle/internal/plan"
	"bundle/bundle/internal/remote"
)

// told calls its function when it was read to the end.
type told struct {
	io.Reader
	ended func()
}

func (*told) Close() error { return nil }

func (r *told) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF && r.ended != nil {
		r.ended()
		r.ended = nil
	}
	return n, err
}

// AheadBytes is the most that is fetched ahead of what was written, over all blobs. A
// variable for the tests.
var AheadBytes int64 = 24 << 20

// chunkSize is in which pieces that is held.
const chunkSize = 128 << 10

var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// An ahead fetches blobs in the order of the plan. It waits where the one who
// reads them is behind.
type ahead struct {
	origins
	jobs  int // blobs at once
	blobs map[digest.Digest]*aheadBlob
	room  *semaphore.Weighted // chunks that may be held
}

func newAhead(client *remote.Client, p *plan.Plan, jobs int) *ahead {
	a := &ahead{
		origins: origins{client, p}, jobs: jobs,
		blobs: make(map[digest.Digest]*aheadBlob, len(p.Fetch)),
		room:  semaphore.NewWeighted(AheadBytes / chunkSize),
	}
	most := max(AheadBytes/int64(jobs)/chunkSize, 1) // for one blob
	for _, d := range p.Fetch {
		n := min((d.Size+chunkSize-1)/chunkSize, most)
		a.blobs[d.Digest] = &aheadBlob{chunks: make(chan []byte, n), needs: n}
	}
	return a
}

// run fetches all blobs, and ends with ctx. A blob is begun when there is room
// for all the chunks that may be held of it: those that come first in the plan
// never wait for room that later ones have taken.
func (a *ahead) run(ctx context.Context) error {
	var fetches errgroup.Group
	fetches.SetLimit(a.jobs)
	for _, d := range a.plan.Fetch {
		b := a.blobs[d.Digest]
		if b.err = a.room.Acquire(ctx, b.needs); b.err != nil {
			close(b.chunks)
			continue
		}
		b.free = func() { a.room.Release(b.needs) }
		fetches.Go(func() error {
			defer close(b.chunks)
			b.err = b.fetch(ctx, a.origins, d)
			return nil
		})
	}
	return fetches.Wait()
}

// An aheadBlob is a blob on its way from a connection to a stream. It is an
// io.Reader for the stream.
type aheadBlob struct {
	chunks chan []byte
	needs  int64  // chunks that may be held
	free   func() // gives the room for them back; nil: nothing to give
	buf    []byte // from the pool
	rest   []byte // of buf, what is still to be read
	err    error  // set before chunks is closed; nil: all of it was sent
}

func (b *aheadBlob) fetch(ctx context.Context, from origins, d ocispec.Descriptor) error {
	rc, err := from.open(ctx, d, remote.BlobRange{To: d.Size})
	if err != nil {
		return err
	}
	defer rc.Close()
	for left := d.Size; left > 0; {
		chunk := chunks.Get().(*[chunkSize]byte)[:min(left, chunkSize)]
		if _, err := io.ReadFull(rc, chunk); err != nil {
			return err
		}
		left -= int64(len(chunk))
		select {
		case b.chunks <- chunk:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Read implements io.Reader.
func (b *aheadBlob) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.buf != nil {
			chunks.Put((*[chunkSize]byte)(b.buf[:chunkSize]))
			b.buf = nil
		}
		chunk, more := <-b.chunks
		if !more {
			if b.free != nil {
				b.free()
				b.free = nil
			}
			return 0, cmp.Or(b.err, io.EOF)
		}
		b.buf, b.rest = chunk, chunk
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}
