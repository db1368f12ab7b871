package bundle

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// StreamOutput as the Output of an export stands for ExportOptions.Stream.
const StreamOutput = "-"

// streams reports whether the output is written from its begin to its end: it is
// a stream, or stands for a pipe or a device.
func (o *ExportOptions) streams() bool {
	if o.Output == StreamOutput {
		return true
	}
	info, err := os.Stat(o.Output)
	return err == nil && info.Mode()&(os.ModeDevice|os.ModeNamedPipe|os.ModeCharDevice) != 0
}

// stream writes the bundle in order. Blobs are fetched ahead, each into a buffer
// that is bounded.
func (o *ExportOptions) stream(ctx context.Context, client *remote.Client, p *plan, lp *layout.Plan) (err error) {
	w := o.Stream
	if o.Output != StreamOutput {
		f, err := os.OpenFile(o.Output, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		w = f
	}
	if w == nil {
		return &UsageError{What: "no stream to write the bundle to"}
	}
	o.Progress.Phase("fetching", p.payload())
	defer o.Progress.End()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var g errgroup.Group
	blobs := fetchAhead(ctx, &g, client, p, o.Jobs)
	t := newTally(p.needs, o.Progress)
	err = layout.Stream(w, lp, func(d digest.Digest) (io.ReadCloser, error) {
		return &told{counted{blobs[d], o.Progress}, func() { t.finished(d) }}, nil
	})
	cancel()
	_ = g.Wait() // each blob has said itself what went wrong with it
	if err != nil {
		return err
	}
	return flush(w)
}

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

// flush makes what was written durable where that means anything.
func flush(w io.Writer) error {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	err := f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil // a pipe or a terminal
	}
	return err
}

// What is fetched ahead of what was written, over all blobs, is at most
// aheadBytes.
const (
	aheadBytes = 24 << 20
	chunkSize  = 128 << 10
)

// fetchAhead fetches blobs in the order of the plan, as many at once as jobs
// says. It waits where the one who reads them is behind. All of them end with
// ctx.
func fetchAhead(ctx context.Context, g *errgroup.Group, client *remote.Client, p *plan, jobs int) map[digest.Digest]*aheadBlob {
	blobs := make(map[digest.Digest]*aheadBlob, len(p.fetch))
	for _, d := range p.fetch {
		blobs[d.Digest] = &aheadBlob{chunks: make(chan []byte, max(aheadBytes/jobs/chunkSize, 1))}
	}
	g.Go(func() error {
		var fetches errgroup.Group
		fetches.SetLimit(jobs)
		for _, d := range p.fetch {
			b := blobs[d.Digest]
			fetches.Go(func() error {
				defer close(b.chunks)
				if b.err = b.fetch(ctx, client, p.from[d.Digest], d); b.err != nil {
					b.err = about(p.from[d.Digest], b.err)
				}
				return nil
			})
		}
		return fetches.Wait()
	})
	return blobs
}

// An aheadBlob is a blob on its way from a connection to a stream. It is an
// io.Reader for the stream.
type aheadBlob struct {
	chunks chan []byte
	rest   []byte
	err    error // set before chunks is closed; nil: all of it was sent
}

func (b *aheadBlob) fetch(ctx context.Context, client *remote.Client, repo string, d ocispec.Descriptor) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	rc, err := client.Blob(ctx, repo, d)
	if err != nil {
		return err
	}
	defer rc.Close()
	for left := d.Size; left > 0; {
		chunk := make([]byte, min(left, chunkSize))
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
		chunk, more := <-b.chunks
		if !more && b.err != nil {
			return 0, b.err
		}
		if !more {
			return 0, io.EOF
		}
		b.rest = chunk
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}
