// Package transfer carries out a plan: it fetches every blob once, from several
// registries and over several connections, and writes the bundle into a file, a
// pipe or a stream.
//
// The contract: content is verified before the file gets its name; a run that
// was stopped leaves a partial file that the same command goes on with; memory
// does not grow with what moves.
//
//	res, err := transfer.Write(ctx, client, p, transfer.Options{Output: "app.bundle.tar", Signer: s})
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/media"
	"bundle/bundle/internal/plan"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/trust"
	"bundle/layout"
	"bundle/layout/parts"
)

// Options say where a plan goes, and how.
type Options struct {
	Output   string        // a file, a pipe or a device, or StreamOutput
	Stream   io.Writer     // where StreamOutput goes
	InOrder  bool          // let the file grow from its begin to its end
	Signer   *trust.Signer // nil: nobody signs
	Jobs     int           // transfers at once
	Progress progress.Reporter
	Set      *SetOptions // nil: one file
	Beside   Beside      // of one file; those of a set are in its options
}

// A Result says what was written.
type Result struct {
	Size        int64    // of the whole file
	Resumed     int64    // bytes that an earlier run had fetched
	Changed     []Change // references that moved since that run
	Fingerprint string   // of the signing key

	Parts []media.Written // of a set: what is on its media now
	Count int             // of a set: how many parts there are

	Removed []string // of another set that was replaced
}

// Write signs the plan and carries it out.
func Write(ctx context.Context, client *remote.Client, p *plan.Plan, o Options) (*Result, error) {
	left := findLeftover(o.Output, o.Set.HeadPath())
	sums, err := p.Sums()
	if err != nil {
		return nil, err
	}
	sig, err := signature(o.Signer, sums, left)
	if err != nil {
		return nil, err
	}
	res := &Result{Changed: left.changes(p)}
	if o.Signer != nil {
		res.Fingerprint = o.Signer.Fingerprint()
	}
	lp, err := layout.NewPlan(p.Files(sums, sig), p.Created)
	if err != nil {
		return nil, err
	}
	j := job{Options: o, Plan: p, client: client, layout: lp, id: parts.SumsID(sums)}
	switch {
	case o.Set != nil:
		err = j.writeSet(ctx, res)
	case Streams(o.Output):
		err = j.stream(ctx)
	default:
		res.Resumed, err = j.writeFile(ctx)
	}
	if err != nil {
		return nil, explainWrite(err)
	}
	res.Size = lp.Size()
	return res, nil
}

// A job is a plan that is carried out, with its place in the file.
type job struct {
	Options
	*plan.Plan
	client *remote.Client
	layout *layout.Plan
	id     string
}

// CheckOutput refuses a file that stands where a bundle is to be written, and is
// none: a key, a chart.
func CheckOutput(output string) error {
	if Streams(output) {
		return nil
	}
	folder := filepath.Dir(output)
	if st, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsDir() {
		return fault.Input("output "+output, errors.New("no folder "+folder), "make it first, or is the medium not mounted?")
	}
	return explainWrite(layout.CheckOutput(output))
}

// writeFile fills the file and gives it its name. It returns how much of it an
// earlier run had fetched.
func (j job) writeFile(ctx context.Context) (resumed int64, err error) {
	beside, err := j.besideFile()
	if err != nil {
		return 0, err
	}
	create := layout.Create
	if j.InOrder {
		create = layout.CreateInOrder
	}
	w, err := create(j.Output, j.layout)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := j.transfer(ctx, w); err != nil {
		return 0, j.suspend(w, err)
	}
	j.Progress.Phase("flushing to disk", 0)
	defer j.Progress.End()
	if err := w.Commit(); err != nil || beside == nil {
		return w.Resumed(), err
	}
	return w.Resumed(), beside.Write(ctx, filepath.Dir(j.Output))
}

// besideFile makes the files that lie next to the bundle, and requires that they and
// it have room.
func (j job) besideFile() (media.Beside, error) {
	if j.Beside.Make == nil {
		return nil, nil
	}
	files, err := j.Beside.Make(0)
	if err != nil {
		return nil, err
	}
	folder := filepath.Dir(j.Output)
	need, err := files.Need(folder)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return files, layout.CheckSpace(f, need+max(j.layout.Size()-media.Allocated(j.Output+".partial"), 0))
}

// explainWrite says beside an error of the output what to do about it.
func explainWrite(err error) error {
	var (
		space    *layout.SpaceError
		occupied *layout.OccupiedError
		noFile   *layout.NotFileError
		flush    *layout.FlushError
		known    fault.Fault
	)
	switch {
	case errors.As(err, &occupied):
		return &fault.UsageError{What: err.Error(), Advice: "name another file with -o, or remove this one first"}
	case errors.As(err, &known):
		return err
	case errors.As(err, &noFile):
		return &fault.UsageError{What: err.Error(), Advice: "name a file with -o; parts of a bundle, with --split-size, go into folders"}
	case errors.As(err, &flush):
		return fault.WithHint(err, "unmount the medium, mount it again, and check the bundle with bundle verify")
	case errors.As(err, &space):
		return fault.WithHint(err, "make room there, or write the bundle elsewhere with -o")
	case errors.Is(err, syscall.EFBIG):
		return fault.WithHint(err, "the file system takes no file of that size; FAT32 ends at 4 GiB: cut the bundle with --split-size fat32, or format the medium as exFAT, ext4 or NTFS")
	}
	return err
}

// worthKeeping is how many bytes of payload make a partial file worth to be gone
// on with.
const worthKeeping = 1 << 20

// suspend leaves the partial file of a run that failed, where the same command
// can save something by going on with it. What it holds is verified then.
func (j job) suspend(w *layout.Writer, err error) error {
	if w.Written() < worthKeeping && j.Set == nil {
		return err
	}
	if serr := w.Suspend(); serr != nil {
		return errors.Join(err, serr)
	}
	err = explainWrite(err)
	hint := fmt.Sprintf("what was fetched is kept in %s.partial: the same command goes on from there", j.Output)
	if j.Set != nil {
		hint = "what was fetched is kept: the same command goes on from there"
	}
	if h := fault.Hint(err); h != "" {
		hint = h + "\n" + hint
	}
	return fault.WithHint(err, hint)
}

// transfer fetches every blob of the plan into its place.
func (j job) transfer(ctx context.Context, w *layout.Writer) error {
	j.Progress.Phase("fetching", j.Payload())
	progress.Expect(j.Progress, len(j.Needs), "image")
	defer j.Progress.End()
	return fetch(ctx, newFetcher(j.client, j.Plan, w, j.Jobs, j.Progress))
}

func fetch(ctx context.Context, f *fetcher) error {
	g, ctx := errgroup.WithContext(ctx)
	for range f.workers() {
		g.Go(func() error { return f.work(ctx) })
	}
	return g.Wait()
}
