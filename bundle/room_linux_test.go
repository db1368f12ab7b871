package bundle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"bundle/layout"
)

// written is how many bytes this thread has given to write(2) so far.
func written(t *testing.T) (n int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/io")
	if err != nil {
		t.Fatal(err)
	}
	var read int64
	if _, err := fmt.Sscanf(string(b), "rchar: %d\nwchar: %d\n", &read, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Whether reports have room is found out without writing a byte, and leaves
// nothing.
func TestCheckRoomWritesNothing(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dir := t.TempDir()
	before := written(t)
	if err := checkRoom(filepath.Join(dir, "not", "there")); err != nil {
		t.Error(err)
	}
	if n := written(t) - before; n != 0 {
		t.Errorf("%d bytes were written", n)
	}
	wantFiles(t, dir)
}

// A full disk is found out before the first push.
func TestCheckRoomFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	file, _ := carried(t)
	reg := startRegistry(t)
	o := onto(reg, TrustAnyone())
	o.OutputDir = filepath.Join(dir, "out")
	_, err := Import(t.Context(), file, o)
	var space *layout.SpaceError
	if !errors.As(err, &space) || space.Needed != roomForReports {
		t.Errorf("error is %v, want a SpaceError", err)
	}
	wantError(t, err, Failed, "output folder")
	if got := writes(reg); len(got) > 0 {
		t.Errorf("pushed %q", got)
	}
	wantFiles(t, dir)
}
