package transfer

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// StreamOutput as the Output of an export stands for ExportOptions.Stream.
const StreamOutput = "-"

// Streams reports whether an output is written from its begin to its end: it is
// a stream, or stands for a pipe or a device.
func Streams(output string) bool {
	if output == StreamOutput {
		return true
	}
	info, err := os.Stat(output)
	return err == nil && info.Mode()&(os.ModeDevice|os.ModeNamedPipe|os.ModeCharDevice) != 0
}

// stream writes the bundle in order. Blobs are fetched ahead, each into a buffer
// that is bounded.
func (j job) stream(ctx context.Context) (err error) {
	w := j.Stream
	if j.Output != StreamOutput {
		f, openErr := openStream(ctx, j.Output)
		if openErr != nil {
			return openErr
		}
		// Who reads the pipe may have stopped to do so: it has a deadline then.
		stop := context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Unix(1, 0)) })
		defer func() {
			stop()
			if err = errors.Join(err, f.Close()); err != nil && ctx.Err() != nil {
				err = ctx.Err()
			}
		}()
		w = f
	}
	if w == nil {
		return &fault.UsageError{What: "no stream to write the bundle to"}
	}
	if err := hasRoom(w, j.layout.Size()); err != nil {
		return err
	}
	j.Progress.Phase("fetching", j.Payload())
	progress.Expect(j.Progress, len(j.Needs), "image")
	defer j.Progress.End()
	fetching, cancel := context.WithCancel(ctx)
	defer cancel()
	var g errgroup.Group
	a := newAhead(j.client, j.Plan, j.Jobs)
	g.Go(func() error { return a.run(fetching) })
	t := newTally(j.Needs, j.Progress)
	var at digest.Digest
	err = layout.Stream(w, j.layout, func(d digest.Digest) (io.ReadCloser, error) {
		at = d
		return &told{progress.Reader(a.blobs[d], j.Progress), func() { t.finished(d) }}, nil
	})
	cancel()
	_ = g.Wait() // each blob has said itself what went wrong with it
	var failed *remote.Error
	var wrong *layout.ContentError
	if errors.As(err, &failed) || errors.As(err, &wrong) {
		return t.about(at, a.about(at, err))
	}
	if err != nil {
		return err
	}
	return flush(w)
}

// hasRoom asks, where a stream goes into a file after all, whether its file
// system has room for it.
func hasRoom(w io.Writer, size int64) error {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return err
	}
	return layout.CheckSpace(f, size)
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
