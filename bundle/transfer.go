package bundle

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// write signs the plan and carries it out.
func (o *ExportOptions) write(ctx context.Context, client *remote.Client, p *plan, report *ExportReport) (err error) {
	sums, err := p.sums()
	if err != nil {
		return err
	}
	var sig []byte
	if o.Signer != nil {
		if sig, err = o.Signer.sign(sums); err != nil {
			return err
		}
		report.Fingerprint = o.Signer.Fingerprint()
	}
	lp, err := layout.NewPlan(p.files(sums, sig), p.created)
	if err != nil {
		return err
	}
	w, err := layout.Create(o.Output, lp)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := o.transfer(ctx, client, p, w); err != nil {
		return err
	}
	o.Progress.Phase("flushing to disk", 0)
	err = w.Commit()
	o.Progress.End()
	if err != nil {
		return err
	}
	report.Output, report.Size = o.Output, lp.Size()
	return nil
}

// transfer fetches every blob of the plan into its place.
func (o *ExportOptions) transfer(ctx context.Context, client *remote.Client, p *plan, w *layout.Writer) error {
	o.Progress.Phase("fetching", p.payload())
	defer o.Progress.End()
	t := newTally(p.needs, o.Progress)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(o.Jobs)
	for _, d := range p.fetch {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := transferBlob(ctx, client, p.from[d.Digest], d, w, o.Progress); err != nil {
				return err
			}
			t.finished(d.Digest)
			return nil
		})
	}
	return g.Wait()
}

func transferBlob(ctx context.Context, client *remote.Client, repo string, d ocispec.Descriptor, w *layout.Writer, pr Progress) (err error) {
	rc, err := client.Blob(ctx, repo, d)
	if err != nil {
		return err
	}
	defer rc.Close()
	bw, err := w.Blob(d.Digest)
	if err != nil {
		return err
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	_, err = io.CopyBuffer(onlyWriter{bw}, counted{rc, pr}, *buf)
	if cerr := bw.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return about(repo, err)
	}
	return nil
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// onlyWriter and counted hide ReadFrom and WriteTo, which would bypass the
// pooled buffer.
type onlyWriter struct{ io.Writer }

type counted struct {
	r io.Reader
	p Progress
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.Add(int64(n))
	return n, err
}

// A tally knows how many blobs each image still waits for, and says when one
// is complete.
type tally struct {
	mu      sync.Mutex
	missing map[string]int
	waiting map[digest.Digest][]string
	pr      Progress
}

func newTally(needs map[string][]ocispec.Descriptor, pr Progress) *tally {
	t := &tally{missing: make(map[string]int), waiting: make(map[digest.Digest][]string), pr: pr}
	for _, name := range sortedKeys(needs) {
		for _, d := range needs[name] {
			t.missing[name]++
			t.waiting[d.Digest] = append(t.waiting[d.Digest], name)
		}
	}
	return t
}

func (t *tally) finished(d digest.Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range t.waiting[d] {
		if t.missing[name]--; t.missing[name] == 0 {
			t.pr.Done(name)
		}
	}
	delete(t.waiting, d)
}
