package layout

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// failSync has the kernel refuse fsync with EIO to this thread, which ends with
// the test: of one file, or of all others.
func failSync(t *testing.T, file *os.File, others bool) {
	t.Helper()
	this := unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(file.Fd()), Jf: 1}
	if others {
		this.Jt, this.Jf = 1, 0
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FSYNC, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16}, // its first argument, on a little-endian machine
		this,
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EIO)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	}
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("this machine does not filter system calls: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A bundle gets its name when the file is on the disk: where that cannot be had, there
// is no bundle, and an earlier one stays. Once it has its name it is never taken away:
// the earlier one is gone by then.
func TestNotOnTheDisk(t *testing.T) {
	for _, what := range []string{"file", "folder"} {
		t.Run(what, func(t *testing.T) {
			folder := t.TempDir()
			// The lowest number is free for the folder: it must not get the file's.
			low, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			p, d := planOf(t, 4)
			w, err := Create(filepath.Join(folder, "a.bundle"), p)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			b, err := w.Blob(d)
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Write([]byte("blob"))
			if err := errors.Join(err, b.Close(), low.Close()); err != nil {
				t.Fatal(err)
			}
			failSync(t, w.file, what == "folder")
			if err = w.Commit(); !errors.Is(err, unix.EIO) {
				t.Errorf("commit: %v, want EIO", err)
			}
			var flush *FlushError
			if what == "file" {
				wantEmpty(t, folder)
				return
			}
			if !errors.As(err, &flush) {
				t.Errorf("commit: %v, want a FlushError", err)
			}
			if st, err := os.Stat(filepath.Join(folder, "a.bundle")); err != nil || st.Size() != p.Size() {
				t.Errorf("the bundle that was complete: %v, %v", st, err)
			}
			if _, err := os.Stat(filepath.Join(folder, "a.bundle.partial")); err == nil {
				t.Error("a partial file is left")
			}
		})
	}
}
