package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"bundle/layout"
)

// A VerifyReport says what was checked.
type VerifyReport struct {
	Path string `json:"path"`
	Vouched
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Entries int       `json:"entries"`
	Bytes   int64     `json:"bytes"` // content that was hashed
}

// Verify checks everything there is to check in a bundle: signature, set of
// entries, graph, the checksum of every byte, and that the charts open. All
// damaged entries are named, not only the first.
func Verify(ctx context.Context, path string, trust *Trust, pr Progress) (*VerifyReport, error) {
	b, err := Open(path, trust)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	report := &VerifyReport{
		Path:    path,
		Vouched: b.Vouched,
		ID:      b.Record.ID,
		Created: b.Record.Created,
		Entries: b.reader.Len(),
		Bytes:   b.payload(),
	}
	if err := b.checkAll(ctx, orSilent(pr)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return report, nil
}

// checkAll checks what Open leaves: every byte, and the charts.
func (b *Bundle) checkAll(ctx context.Context, pr Progress) error {
	if err := b.hashAll(ctx, pr, b.payload()); err != nil {
		return err
	}
	type archive struct {
		digest        digest.Digest
		name, version string
	}
	opened := make(map[archive]bool) // several releases may be of one chart
	for _, c := range b.Record.Charts {
		a := archive{c.Digest, c.Name, c.Version}
		if opened[a] {
			continue
		}
		if _, err := b.openChart(c); err != nil {
			return err
		}
		opened[a] = true
	}
	return nil
}

// payload is the number of bytes that have a checksum.
func (b *Bundle) payload() (n int64) {
	for e := range b.reader.All() {
		if _, listed := b.digest(e.Name); listed {
			n += e.Size
		}
	}
	return n
}

// hashAll reads every entry through a verifying reader, as many at once as
// there are cores.
func (b *Bundle) hashAll(ctx context.Context, pr Progress, total int64) error {
	pr.Phase("verifying", total)
	defer pr.End()
	entries := b.reader.Entries()
	damage := make([]error, len(entries))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, e := range entries {
		want, listed := b.digest(e.Name)
		if !listed {
			continue
		}
		g.Go(func() error {
			rc, err := b.reader.OpenFile(e.Name, want)
			if err != nil {
				return err
			}
			defer rc.Close()
			err = drain(ctx, rc, pr)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				damage[i] = asDamagedEntry(e, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return errors.Join(damage...)
}

func asDamagedEntry(e layout.Entry, err error) error {
	var format *layout.FormatError
	if errors.As(err, &format) {
		return err
	}
	return asDamaged(e.Name, err)
}

// drain reads r to its end, as long as ctx lasts.
func drain(ctx context.Context, r io.Reader, pr Progress) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for ctx.Err() == nil {
		n, err := r.Read(*buf)
		pr.Add(int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}
