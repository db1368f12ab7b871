package bundle

import (
	"context"
	"errors"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"

	"bundle/layout"
)

// A VerifyReport says what was checked.
type VerifyReport struct {
	Path        string `json:"path"`
	Fingerprint string `json:"fingerprint,omitempty"` // of the trusted key that signed; empty when that was not checked
	Signer      string `json:"signer,omitempty"`      // principal or comment of that key
	ID          string `json:"id"`
	Entries     int    `json:"entries"`
	Bytes       int64  `json:"bytes"` // content that was hashed
}

// Verify checks everything there is to check in a bundle: signature, set of
// entries, graph, and the checksum of every byte. All damaged entries are
// named, not only the first.
func Verify(ctx context.Context, path string, trust *Trust, pr Progress) (*VerifyReport, error) {
	b, err := Open(path, trust)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	report := &VerifyReport{Path: path, ID: b.Record.ID, Entries: len(b.reader.Entries())}
	if b.Signer != nil {
		report.Fingerprint, report.Signer = b.Signer.Fingerprint, orDefault(b.Signer.Comment, b.Signer.Principals)
	}
	for name := range b.sums {
		e, _ := b.reader.Entry(name)
		report.Bytes += e.Size
	}
	if err := b.hashAll(ctx, orSilent(pr), report.Bytes); err != nil {
		return nil, err
	}
	return report, nil
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
		want, listed := b.sums[e.Name]
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
	return &DamagedError{e.Name, err}
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
