package bundle

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/media"
	"bundle/testdata/medium"
	"bundle/testdata/regtest"
)

// A part goes to the disk, and is read back, while the next is filled. Where that
// fails, the part is named and is not taken for written; what was filled meanwhile
// stays, and the same command writes what is missing.
func TestLateCommitFails(t *testing.T) {
	_, whole, eo, _, _ := inParts(t, SetOptions{Folders: []string{t.TempDir()}})
	for name, late := range map[string]func(medium.Call) bool{
		"not flushed":   func(c medium.Call) bool { return c.Op == medium.Sync && c.Name == "app.bundle.tar.002.partial" },
		"not read back": func(c medium.Call) bool { return c.Op == medium.Read && c.Name == "app.bundle.tar.002" },
	} {
		t.Run(name, func(t *testing.T) {
			store := t.TempDir()
			dir, m := mounted(t, store)
			var once sync.Once
			third := make(chan struct{})
			m.Fail(func(c medium.Call) syscall.Errno {
				switch {
				case c.Op == medium.Write && c.Name == "app.bundle.tar.003.partial":
					once.Do(func() { close(third) })
				case late(c):
					select {
					case <-third:
					case <-time.After(time.Minute):
						t.Error("part 3 is not filled meanwhile")
					}
					return syscall.EIO
				}
				return 0
			})
			o := again(eo, false, dir)
			_, err := Export(context.Background(), o)
			var bad *media.MediumError
			if !errors.As(err, &bad) || bad.Part != 2 || !errors.Is(err, syscall.EIO) || fault.KindOf(err) != fault.Failed ||
				!strings.Contains(err.Error(), "part 2") || !strings.Contains(fault.Hint(err), "the same command goes on") {
				t.Fatalf("kind %v: %v, hint %s", fault.KindOf(err), err, fault.Hint(err))
			}
			list := regtest.ReadFile(t, store, "app.bundle.tar.sha256")
			for _, part := range []string{".001", ".003", ".004", ".005"} {
				regtest.ReadFile(t, store, "app.bundle.tar"+part)
				if !strings.Contains(list, part) {
					t.Errorf("%s is not in the list:\n%s", part, list)
				}
			}
			if strings.Contains(list, ".002") {
				t.Errorf("the part that failed is in the list:\n%s", list)
			}
			m.Fail(func(medium.Call) syscall.Errno { return 0 })
			r := mustExport(t, o)
			if joined(t, r.Parts) != regtest.ReadFile(t, whole) {
				t.Error("the parts joined are not the bundle")
			}
			for _, p := range r.Parts {
				if want := p.Part != 2 || name == "not read back"; p.Kept != want {
					t.Errorf("part %d was there already: %v", p.Part, p.Kept)
				}
			}
		})
	}
}
