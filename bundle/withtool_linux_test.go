package bundle

import (
	"errors"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"bundle/bundle/internal/kit"
	"bundle/layout"
	"bundle/testdata/regtest"
)

// Where the bundle has room, and the program beside it has not, nothing is fetched, and
// nothing is left: of one file, and of parts.
func TestWithToolNoRoom(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	_, _, o, _, _ := inParts(t, SetOptions{Folders: []string{t.TempDir()}})
	o.WithTool = kit.Wanted{Platforms: []string{runtime.GOOS + "/" + runtime.GOARCH}}
	set := *o.Set
	for name, in := range map[string]*SetOptions{"one file": nil, "parts": &set} {
		if o.Set, o.Output = in, "app.bundle.tar"; in == nil {
			o.Output = filepath.Join(dir, "app.bundle.tar")
		} else {
			in.Folders = []string{dir}
		}
		_, err := Export(t.Context(), o)
		var space *layout.SpaceError
		if !errors.As(err, &space) || space.Needed < 8<<20 {
			t.Errorf("%s: error is %v, want a SpaceError", name, err)
		}
		regtest.WantFiles(t, dir)
	}
}
