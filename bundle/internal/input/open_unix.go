//go:build unix

package input

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// open opens a file without waiting for anybody, and then waits for the writer of
// a pipe as long as it may take.
func open(ctx context.Context, name string, patience time.Duration) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = fmt.Errorf("%s is a folder", name)
	case info.Mode()&os.ModeNamedPipe != 0:
		err = await(ctx, f, patience)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

// await returns when there is something to read from a pipe, or its writer has
// closed it: a pipe without any writer yet reads as if it were empty.
func await(ctx context.Context, f *os.File, patience time.Duration) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	const step = 20 * time.Millisecond
	for end := time.Now().Add(patience); time.Now().Before(end); {
		var n int
		var perr error
		err := raw.Control(func(fd uintptr) {
			n, perr = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(step.Milliseconds()))
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case perr != nil && !errors.Is(perr, unix.EINTR):
			return perr
		case n > 0:
			return nil
		}
	}
	return &silentError{f.Name(), patience}
}
