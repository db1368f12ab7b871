package bundle

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"bundle/bundle/internal/media"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/push"
	"bundle/layout/parts"
)

// pushAll pushes what is there. Where media are missing, it keeps in the scratch
// folder what later media need beside them, and asks for the next one, if there is
// somebody to ask.
func (t *arrival) pushAll(ctx context.Context, places []place.Placement) (*push.Result, error) {
	p := t.pusher()
	var sum push.Bytes
	p.Hold = t.Swap != nil && t.Scratch == ""
	for {
		res, err := p.Run(ctx, places, t.DryRun)
		var missing *open.MissingError
		if !errors.As(err, &missing) || res == nil || t.DryRun {
			if res != nil {
				res.Bytes.Sent += sum.Sent
				res.Bytes.Mounted += sum.Mounted
			}
			return res, err
		}
		sum.Sent += res.Bytes.Sent
		sum.Mounted += res.Bytes.Mounted
		if kerr := t.keep(ctx); kerr != nil {
			return nil, kerr
		}
		if t.Swap == nil {
			res.Bytes.Sent, res.Bytes.Mounted = sum.Sent, sum.Mounted
			return res, err
		}
		if err := t.nextMedium(ctx, missing); err != nil {
			return nil, err
		}
	}
}

// nextMedium asks for another medium until it has the begin of the bundle.
func (t *arrival) nextMedium(ctx context.Context, missing *open.MissingError) error {
	f := t.bundle.Parts
	for {
		if err := f.Release(); err != nil {
			return err
		}
		if err := t.Swap(ctx, missing); err != nil {
			return err
		}
		if err := f.Rescan(ctx, t.media()...); err != nil && ctx.Err() != nil {
			return err
		}
		if f.Begins() {
			return nil
		}
		again := *missing
		again.Problems = nil
		for _, err := range f.Problems() {
			again.Problems = append(again.Problems, err.Error())
		}
		missing = &again
	}
}

// keep copies parts into the scratch folder: with parity all, since any may have to
// be computed from the others; else those with a piece of a blob that is cut.
func (t *arrival) keep(ctx context.Context) error {
	set := t.bundle.Parts.Set()
	if t.Scratch == "" || set == nil {
		return nil
	}
	if err := os.Mkdir(t.Scratch, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	for _, s := range t.bundle.Parts.Sources() {
		to := filepath.Join(t.Scratch, s.Name)
		needed := s.Part == 0 || set.Parity != nil || set.Inside(s.Part) || s.Part < len(set.Parts) && set.Inside(s.Part+1)
		if _, err := os.Lstat(to); err == nil || !needed {
			continue
		}
		if err := keepOne(ctx, s.Path, to); err != nil {
			return err
		}
	}
	return nil
}

func keepOne(ctx context.Context, from, to string) (err error) {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return media.Copy(ctx, to, io.NewSectionReader(f, 0, st.Size()), func(int64) {})
}

// dropScratch removes what keep has put there.
func (t *arrival) dropScratch() error {
	set := t.bundle.Parts.Set()
	if t.Scratch == "" || set == nil {
		return nil
	}
	if err := t.bundle.Parts.Release(); err != nil {
		return err
	}
	names := []string{set.Name + parts.HeadSuffix, set.Name + parts.SetSuffix, set.Name + parts.BlocksSuffix}
	for k := range set.Parts {
		names = append(names, set.PartName(k+1))
	}
	if set.Parity != nil {
		for k := range set.Parity.Parity {
			names = append(names, set.ParityName(k+1))
		}
	}
	for _, name := range names {
		if err := os.Remove(filepath.Join(t.Scratch, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	_ = os.Remove(t.Scratch) // unless there is something else in it
	return nil
}
