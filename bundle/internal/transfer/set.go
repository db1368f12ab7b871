package transfer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/media"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/remote"
	"bundle/layout"
	"bundle/layout/parity"
	"bundle/layout/parts"
)

// SetOptions say that a bundle goes into parts, and where they go. Output then
// names them, and is no path.
type SetOptions struct {
	Folders    []string // one for each medium that is there
	Size       PartSize
	Only       []int  // numbers of the parts to write; empty: all
	State      string // what stays when media change; empty: the first folder
	Swap       func(context.Context, media.Swap) error
	Outline    func(media.Outline) // told before the first byte, with Swap
	NoReadBack bool
	Parity     int    // how many parts may be lost
	Name       string // of the bundle
	Force      bool   // replace another bundle under the name

	Beside Beside // further files for each medium
}

// Beside are the files that lie next to a bundle, or to each part of one.
type Beside struct {
	Size int64                                 // about what they take, in bytes
	Make func(parts int) (media.Beside, error) // parts is how many there are, 0 for one file; nil: there are no such files
}

// HeadPath is where the head stays from run to run.
func (s *SetOptions) HeadPath() string {
	switch {
	case s == nil:
		return ""
	case s.State != "":
		return filepath.Join(s.State, s.Name+parts.HeadSuffix)
	}
	return filepath.Join(s.Folders[0], s.Name+parts.HeadSuffix)
}

// Complete checks the options and fills in what they leave open.
func (s *SetOptions) Complete() error {
	if len(s.Folders) == 0 {
		s.Folders = []string{"."}
	}
	if s.Size.Bytes == 0 {
		s.Size = Presets[DefaultPreset]
	}
	if (s.Swap != nil || len(s.Only) > 0) && s.State == "" {
		s.State = "."
	}
	switch {
	case s.Swap != nil && len(s.Folders) > 1:
		return &fault.UsageError{What: "one drive has one folder", Advice: "give one -o FOLDER, or leave out --swap"}
	case s.Swap != nil && len(s.Only) > 0:
		return &fault.UsageError{What: "--swap writes all parts, --part some"}
	case s.Parity < 0 || s.Parity > parity.MaxColumns:
		return &fault.UsageError{What: fmt.Sprintf("%d parts of parity", s.Parity)}
	case s.Size.Bytes < 0:
		return &fault.UsageError{What: "the size of parts is negative"}
	}
	return nil
}

// Media are where a set goes that is to be written so. id is that of the bundle's
// record.
func (s *SetOptions) Media(set *parts.Set, id string, pr progress.Reporter) (*media.Media, error) {
	if s.Parity > 0 {
		p, err := set.NewParity(s.Parity, len(set.Parts))
		if err != nil {
			return nil, &fault.UsageError{What: err.Error(), Advice: "give --parity K"}
		}
		set.Parity = p
	}
	m := &media.Media{
		Set: set, Folders: s.Folders, Only: s.Only, State: s.State, Swap: s.Swap, Outline: s.Outline, NoReadBack: s.NoReadBack, Progress: pr,
		Force: s.Force, ID: id, IDOf: IDOf,
	}
	if s.Beside.Make != nil {
		files, err := s.Beside.Make(m.Count())
		if err != nil {
			return nil, err
		}
		m.Beside = files
	}
	for _, k := range s.Only {
		if k < 1 || k > m.Count() {
			return nil, &fault.UsageError{What: fmt.Sprintf("there is no part %d, there are %d", k, m.Count())}
		}
	}
	return m, nil
}

// cut decides where the parts begin.
func (j job) cut(o *SetOptions) (*parts.Set, error) {
	layers := make(map[digest.Digest]bool)
	for _, d := range j.Fetch[j.Configs:] {
		layers[d.Digest] = true
	}
	head := parts.HeadSize(j.layout.Entries(), func(e layout.Entry) bool {
		d, _ := layout.BlobDigest(e.Name)
		return layers[d]
	})
	return CutFor(parts.Cutting{
		Name: o.Name, ID: j.id, Created: j.layout.ModTime().Unix(), Entries: j.layout.Entries(), Head: head,
	}, o)
}

// CutFor is parts.Cut for a size that a person chose.
func CutFor(c parts.Cutting, o *SetOptions) (*parts.Set, error) {
	if c.Part = o.Size.Bytes; o.Size.Medium {
		c.Part -= c.Head + 4<<20 + o.Beside.Size // what lies beside each part
	}
	set, err := parts.Cut(c)
	var wrong *parts.SizeError
	if errors.As(err, &wrong) {
		return nil, &fault.UsageError{What: err.Error(), Advice: "choose larger parts with --split-size"}
	}
	return set, err
}

// writeSet writes the head, and then each part into its folder.
func (j job) writeSet(ctx context.Context, res *Result) (err error) {
	o, client := j.Options, j.client
	set, err := j.cut(o.Set)
	if err != nil {
		return err
	}
	m, err := o.Set.Media(set, j.Record.ID, o.Progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	m.Verified, m.Filling, m.Payload = true, "fetching", j.payload(set, o.Set.Only)
	w := &setWriter{Options: o, client: client, job: j, set: set, tally: newTally(j.Needs, o.Progress)}
	w.tally.pieces = make(map[digest.Digest]int)
	for _, e := range j.layout.Entries() {
		if d, blob := layout.BlobDigest(e.Name); blob {
			w.tally.pieces[d] = set.Spans(e.Offset, e.Offset+e.Size)
		}
	}
	w.Jobs = max(o.Jobs/len(o.Set.Folders), 2)
	if err := m.Prepare(ctx, func(path string) error { return w.head(ctx, path) }); err != nil {
		return err
	}
	w.headPath = m.HeadPath()
	res.Count = m.Count()
	res.Parts, err = m.Write(ctx, w.part)
	res.Removed = m.Removed()
	for _, p := range res.Parts {
		if p.Kept {
			res.Resumed += p.Size
		}
	}
	return err
}

// payload is what is to be fetched for some parts.
func (j job) payload(set *parts.Set, only []int) (n int64) {
	if len(only) == 0 {
		return j.Payload()
	}
	for _, k := range only {
		if k <= len(set.Parts) {
			n += set.Parts[k-1].Size
		}
	}
	return n
}

// A setWriter fills parts.
type setWriter struct {
	Options
	job
	client   *remote.Client
	set      *parts.Set
	tally    *tally
	headPath string
}

// head writes the begin of the bundle, unless it is there.
func (w *setWriter) head(ctx context.Context, path string) error {
	if r, file, err := layout.OpenHead(path); err == nil {
		whole := r.Size() == w.set.Head && w.layout.Begins(r)
		if err := file.Close(); err != nil || whole {
			return err
		}
	}
	commit, err := w.slice(ctx, path, layout.Range{To: w.set.Head}, nil)
	if err != nil {
		return err
	}
	return commit()
}

// part fills one part.
func (w *setWriter) part(ctx context.Context, k int, path string) (commit func() error, err error) {
	p := w.set.Parts[k-1]
	return w.slice(ctx, path, layout.Range{From: p.Offset, To: p.Offset + p.Size}, func(lw *layout.Writer) error {
		if k > 1 {
			return nil
		}
		r, file, err := layout.OpenHead(w.headPath)
		if err == nil {
			lw.Lend(r, file)
		}
		return err
	})
}

// slice fills a file with a slice of the bundle; commit gives it its name.
func (w *setWriter) slice(ctx context.Context, path string, r layout.Range, prepare func(*layout.Writer) error) (commit func() error, err error) {
	lw, err := layout.CreateSlice(path, w.layout, r, w.InOrder)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lw.Close())
		}
	}()
	f := newFetcher(w.client, w.Plan, lw, w.Jobs, w.Progress)
	f.tally = newTally(nil, w.Progress) // nobody waits for the head
	if prepare != nil {
		if err := prepare(lw); err != nil {
			return nil, err
		}
		f.tally = w.tally
	}
	if err := fetch(ctx, f); err != nil {
		return nil, w.suspend(lw, err)
	}
	return func() error { return errors.Join(lw.Commit(), lw.Close()) }, nil
}
