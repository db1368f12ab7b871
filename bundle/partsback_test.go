package bundle

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/fault"
	"bundle/layout/parts"
	"bundle/testdata/regtest"
)

// again is an export of the same into other folders.
func again(eo ExportOptions, noReadBack bool, folders ...string) ExportOptions {
	set := *eo.Set
	set.Folders, set.NoReadBack = folders, noReadBack
	eo.Set = &set
	return eo
}

// Parts that are not read back are the same bytes, with the same checksums beside
// them; the report says of each that nothing proves what its medium has.
func TestNoReadBack(t *testing.T) {
	dir := t.TempDir()
	_, whole, eo, proved, tr := inParts(t, SetOptions{Folders: []string{dir}, Parity: 1})
	fast := t.TempDir()
	set := mustExport(t, again(eo, true, fast))
	if joined(t, set.Parts[:len(set.Parts)-1]) != regtest.ReadFile(t, whole) {
		t.Error("the parts joined are not the bundle")
	}
	for i, p := range set.Parts {
		if got := digest.FromString(regtest.ReadFile(t, p.Path)).Encoded(); p.SHA256 != got || p.SHA256 != proved.Parts[i].SHA256 {
			t.Errorf("%s: checksum %s, of the file %s, read back %s", p.Path, p.SHA256, got, proved.Parts[i].SHA256)
		}
		if !p.FromCache || proved.Parts[i].FromCache {
			t.Errorf("%s: from the cache: %v, where it was read back: %v", p.Path, p.FromCache, proved.Parts[i].FromCache)
		}
	}
	for _, name := range regtest.Files(t, dir) {
		if regtest.ReadFile(t, dir, name) != regtest.ReadFile(t, fast, name) {
			t.Errorf("%s differs", name)
		}
	}
	if _, err := Verify(context.Background(), fast, tr, nil); err != nil {
		t.Error(err)
	}
}

// A piece of a layer that is cut arrives wrong, which shows when the last piece is
// there: no part with a piece of it stays, and the same command ends with the bundle.
func TestPieceArrivesWrong(t *testing.T) {
	all, whole, eo, _, _ := inParts(t, SetOptions{Folders: []string{t.TempDir()}})
	front := func(o regtest.Options) (*regtest.Registry, error) { return regtest.StartFront(all, o) }
	pub := regtest.Running(t, front, regtest.Options{}) // others use the one behind it
	eo.Registry = through(pub)
	for name, noReadBack := range map[string]bool{"read back": false, "not read back": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := again(eo, noReadBack, dir)
			pub.Inject(regtest.Fault{Class: regtest.Blob, Times: 1, Do: regtest.Corrupt(100), Match: func(r *http.Request) bool {
				return r.Header.Get("Range") != "" // what is whole in a part is asked for without
			}})
			_, err := Export(context.Background(), o)
			var wrong *parts.WrongError
			if !errors.As(err, &wrong) || fault.KindOf(err) != fault.Damaged || wrong.First == 0 || !strings.Contains(fault.Hint(err), "same command") {
				t.Fatalf("kind %v: %v", fault.KindOf(err), err)
			}
			for k := wrong.First; k <= wrong.Part; k++ {
				if left, _ := filepath.Glob(filepath.Join(dir, filepath.Base(eo.Output)+".00"+string(rune('0'+k))+"*")); len(left) > 0 {
					t.Errorf("%v is left", left)
				}
			}
			if r := mustExport(t, o); joined(t, r.Parts) != regtest.ReadFile(t, whole) {
				t.Error("the parts joined are not the bundle")
			}
		})
	}
}
