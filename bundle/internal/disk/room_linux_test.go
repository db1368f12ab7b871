package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"bundle/testdata/regtest"
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
	if err := CheckRoom(filepath.Join(dir, "not", "there")); err != nil {
		t.Error(err)
	}
	if n := written(t) - before; n != 0 {
		t.Errorf("%d bytes were written", n)
	}
	regtest.WantFiles(t, dir)
}
