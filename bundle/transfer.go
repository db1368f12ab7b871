package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// write signs the plan and carries it out.
func (o *ExportOptions) write(ctx context.Context, client *remote.Client, p *plan, report *ExportReport) error {
	left := o.leftover()
	sums, err := p.sums()
	if err != nil {
		return err
	}
	sig, err := o.signature(sums, left)
	if err != nil {
		return err
	}
	if o.Signer != nil {
		report.Fingerprint = o.Signer.Fingerprint()
	}
	report.Changed = left.changes(p)
	lp, err := layout.NewPlan(p.files(sums, sig), p.created)
	if err != nil {
		return err
	}
	if o.streams() {
		err = o.stream(ctx, client, p, lp)
	} else {
		err = o.writeFile(ctx, client, p, lp, report)
	}
	if err != nil {
		return err
	}
	report.Output, report.Size = o.Output, lp.Size()
	return nil
}

// writeFile fills the file and gives it its name.
func (o *ExportOptions) writeFile(ctx context.Context, client *remote.Client, p *plan, lp *layout.Plan, report *ExportReport) (err error) {
	create := layout.Create
	if o.InOrder {
		create = layout.CreateInOrder
	}
	w, err := create(o.Output, lp)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	report.Resumed = w.Resumed()
	if err := o.transfer(ctx, client, p, w); err != nil {
		return o.suspend(w, err)
	}
	o.Progress.Phase("flushing to disk", 0)
	defer o.Progress.End()
	return w.Commit()
}

// worthKeeping is how many bytes of payload make a partial file worth to be gone
// on with.
const worthKeeping = 1 << 20

// suspend leaves the partial file of a run that failed, where the same command
// can save something by going on with it. What it holds is verified then.
func (o *ExportOptions) suspend(w *layout.Writer, err error) error {
	if w.Written() < worthKeeping {
		return err
	}
	if serr := w.Suspend(); serr != nil {
		return errors.Join(err, serr)
	}
	hint := fmt.Sprintf("what was fetched is kept in %s.partial: the same command goes on from there", o.Output)
	if h := Hint(err); h != "" {
		hint = h + "\n" + hint
	}
	return withHint(err, hint)
}

// transfer fetches every blob of the plan into its place.
func (o *ExportOptions) transfer(ctx context.Context, client *remote.Client, p *plan, w *layout.Writer) error {
	o.Progress.Phase("fetching", p.payload())
	defer o.Progress.End()
	f := newFetcher(client, p, w, o.Jobs, o.Progress)
	g, ctx := errgroup.WithContext(ctx)
	for range f.workers() {
		g.Go(func() error { return f.work(ctx) })
	}
	return g.Wait()
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// counted hides WriteTo, which would bypass the pooled buffer.
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

// about names the first image that waits for a blob that failed.
func (t *tally) about(d digest.Digest, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if names := t.waiting[d]; len(names) > 0 {
		return fmt.Errorf("%s: %w", names[0], err)
	}
	return err
}
