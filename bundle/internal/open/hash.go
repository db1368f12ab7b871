package open

import (
	"context"
	"errors"
	"io"
	"runtime"

	"bundle/bundle/internal/progress"
	"bundle/layout"
)

// CheckBytes checks every byte that is there.
func (b *Bundle) CheckBytes(ctx context.Context, pr progress.Reporter) error {
	err := b.hashAll(ctx, pr, b.Payload())
	if ctx.Err() == nil {
		err = errors.Join(err, b.checkLent(ctx, pr), b.checkFrames(ctx), b.checkParity(ctx))
	}
	if err != nil {
		return ExplainRead(err)
	}
	return nil
}

// Payload is the number of bytes that have a checksum and are there.
func (b *Bundle) Payload() (n int64) {
	for e := range b.Reader.All() {
		if _, listed := b.digest(e.Name); listed && len(b.missing(e)) == 0 {
			n += e.Size
		}
	}
	return n
}

// hashAll reads every entry through a verifying reader, as many at once as
// there are cores, or media.
func (b *Bundle) hashAll(ctx context.Context, pr progress.Reporter, total int64) error {
	pr.Phase("verifying", total)
	defer pr.End()
	var entries []layout.Entry
	var media []string
	for _, e := range b.Reader.Entries() {
		if _, listed := b.digest(e.Name); listed && len(b.missing(e)) == 0 { // else Lacking says so
			entries, media = append(entries, e), append(media, b.mediumOf(e))
		}
	}
	damage := make([]error, len(entries))
	err := ByMedium(ctx, max(runtime.GOMAXPROCS(0), distinct(media)), media, func(ctx context.Context, i int) error {
		e := entries[i]
		want, _ := b.digest(e.Name)
		rc, err := b.Reader.OpenFile(e.Name, want)
		if err != nil {
			return err
		}
		defer rc.Close()
		err = drain(ctx, rc, pr)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			damage[i] = b.locate(ctx, e, asDamagedEntry(e, err))
		}
		return nil
	})
	if err != nil {
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
func drain(ctx context.Context, r io.Reader, pr progress.Reporter) error {
	buf := progress.Buffers.Get().(*[]byte)
	defer progress.Buffers.Put(buf)
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
