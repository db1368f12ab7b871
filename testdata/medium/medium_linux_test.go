package medium

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A medium keeps what it is given, is as slow as it is said to be, and fails where
// it is told to.
func TestMedium(t *testing.T) {
	dir, store := t.TempDir(), t.TempDir()
	m, err := Mount(Options{Path: dir, Store: store, Speed: 10e6})
	if err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	content := bytes.Repeat([]byte("content "), 1<<17)
	path := filepath.Join(dir, "a")
	start := time.Now()
	if err := os.WriteFile(path+".partial", content, 0o644); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 90*time.Millisecond {
		t.Errorf("1 MiB took %v", took)
	}
	if err := os.Rename(path+".partial", path); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(store, "a")); err != nil || !bytes.Equal(b, content) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	m.Fail(func(c Call) syscall.Errno {
		if c.Op == Read && c.Name == "a" && c.Offset+c.Size > 512<<10 {
			return syscall.EIO
		}
		if c.Op == Write {
			return syscall.ENOSPC
		}
		return 0
	})
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	drop := func(f *os.File) {
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
	}
	drop(f)
	if _, err := f.ReadAt(make([]byte, 4096), 600<<10); !errors.Is(err, syscall.EIO) {
		t.Errorf("read: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b"), content, 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write: %v", err)
	}
	drop(f)
	m.Pull()
	if _, err := os.ReadFile(filepath.Join(dir, "a")); !errors.Is(err, syscall.EIO) {
		t.Errorf("pulled out: %v", err)
	}
}
