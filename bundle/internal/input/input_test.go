//go:build unix

package input

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"bundle/bundle/internal/fault"
)

func fifo(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// write opens a pipe as a program would, and holds it open until done.
func write(t *testing.T, name, content string, done <-chan struct{}) {
	go func() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		_, _ = f.WriteString(content)
		if done != nil {
			<-done
		}
	}()
}

func TestFile(t *testing.T) {
	for _, tc := range []struct{ name, content string }{
		{"nothing", ""}, {"some", "hello\n"}, {"as much as there may be", strings.Repeat("x", 1000)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pipe := fifo(t)
			write(t, pipe, tc.content, nil)
			for _, name := range []string{file(t, tc.content), pipe} {
				if got, err := File(t.Context(), name, 1000); err != nil || string(got) != tc.content {
					t.Errorf("%s: %q, %v", name, got, err)
				}
			}
		})
	}
}

// Whatever stands for a file, reading it ends, and is the fault of who named it.
func TestFileEnds(t *testing.T) {
	held := make(chan struct{})
	t.Cleanup(func() { close(held) })
	silent, dripping := fifo(t), fifo(t)
	write(t, silent, "", held)
	write(t, dripping, "some", held)
	for _, tc := range []struct{ name, path, want string }{
		{"endless", "/dev/zero", "more than the 1000 bytes"},
		{"large", file(t, strings.Repeat("x", 1001)), "more than the 1000 bytes"},
		{"folder", t.TempDir(), "is a folder"},
		{"not there", "/not/there", "no such file"},
		{"nobody writes", fifo(t), "nothing came for"},
		{"somebody, nothing", silent, "nothing came for"},
		{"something, no end", dripping, "nothing came for"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t.Context(), tc.path, 1000, 100*time.Millisecond)
			if err == nil || !strings.Contains(err.Error(), tc.want) || fault.KindOf(err) != fault.Usage {
				t.Errorf("got %v, want a usage error with %q", err, tc.want)
			}
		})
	}
}

// The end of the context ends any wait, and nothing runs on.
func TestFileInterrupted(t *testing.T) {
	held := make(chan struct{})
	defer close(held)
	silent := fifo(t)
	write(t, silent, "", held)
	for name, path := range map[string]string{"nobody writes": fifo(t), "nothing is written": silent} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			before := runtime.NumGoroutine()
			time.AfterFunc(20*time.Millisecond, cancel)
			if _, err := File(ctx, path, 1000); fault.KindOf(err) != fault.Interrupted {
				t.Errorf("got %v, want an interruption", err)
			}
			for range 100 {
				if runtime.NumGoroutine() <= before {
					return
				}
				time.Sleep(time.Millisecond)
			}
			t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		})
	}
}
