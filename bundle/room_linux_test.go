package bundle

import (
	"errors"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/trust"
	"bundle/layout"
	"bundle/testdata/regtest"
)

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
	file, _ := carriedApp(t)
	reg := startRegistry(t)
	o := onto(reg, trust.TrustAnyone())
	o.OutputDir = filepath.Join(dir, "out")
	_, err := Import(t.Context(), file, o)
	var space *layout.SpaceError
	if !errors.As(err, &space) || space.Needed != disk.RoomForReports {
		t.Errorf("error is %v, want a SpaceError", err)
	}
	wantError(t, err, fault.Failed, "output folder")
	if got := writes(reg); len(got) > 0 {
		t.Errorf("pushed %q", got)
	}
	regtest.WantFiles(t, dir)
}
