package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/testdata/regtest"
)

// copyFolder copies files into a folder of its own.
func copyFolder(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// protected exports the bundle of inParts with parity, into one folder.
func protected(t *testing.T, parity int) (dir, whole string, set *reports.Export, tr *trust.Trust) {
	t.Helper()
	dir = t.TempDir()
	_, whole, _, set, tr = inParts(t, SetOptions{Folders: []string{dir}, Parity: parity})
	return dir, whole, set, tr
}

// Any two of all parts may be lost, and an import of the rest has everything;
// repair writes them again, byte for byte. A third is too many.
func TestLoseParts(t *testing.T) {
	t.Parallel()
	dir, whole, set, tr := protected(t, 2)
	r, err := Verify(context.Background(), dir, tr, nil)
	if err != nil || r.Parts.Parity != 2 || r.Parts.Spare != 2 {
		t.Fatalf("%+v, %v", r.Parts, err)
	}
	var names []string
	for _, p := range set.Parts {
		names = append(names, filepath.Base(p.Path))
	}
	priv := startRegistry(t)
	for a := range names {
		for b := range a {
			left, fixed := copyFolder(t, dir), t.TempDir()
			for _, name := range []string{names[a], names[b]} {
				if err := os.Remove(filepath.Join(left, name)); err != nil {
					t.Fatal(err)
				}
			}
			r, err := Verify(context.Background(), left, tr, nil)
			if err != nil || r.Parts.Spare != 0 {
				t.Fatalf("without %s and %s: %+v, %v", names[a], names[b], r, err)
			}
			rep, err := Repair(context.Background(), left, RepairOptions{Folder: fixed}, nil)
			if err != nil || len(rep.Parts) != 2 {
				t.Fatalf("without %s and %s: %+v, %v", names[a], names[b], rep, err)
			}
			for _, name := range []string{names[a], names[b]} {
				if regtest.ReadFile(t, fixed, name) != regtest.ReadFile(t, dir, name) {
					t.Errorf("%s is not as it was", name)
				}
			}
			if a == 3 && b == 1 { // once is enough: it takes the same way
				o := onto(priv, tr)
				o.OutputDir = t.TempDir()
				if _, err := Import(context.Background(), left, o); err != nil {
					t.Fatal(err)
				}
				sameContent(t, priv, whole, tr)
			}
			third := (a + 1 + rand.IntN(len(names)-1)) % len(names)
			if third == b {
				continue
			}
			if err := os.Remove(filepath.Join(left, names[third])); err != nil {
				t.Fatal(err)
			}
			data := a < set.Count-2 || b < set.Count-2 || third < set.Count-2
			_, err = Verify(context.Background(), left, tr, nil)
			if data && fault.KindOf(err) != fault.NeedsMore {
				t.Errorf("without %s, %s and %s: %v", names[a], names[b], names[third], err)
			}
			empty := t.TempDir()
			if _, err := Repair(context.Background(), left, RepairOptions{Folder: empty}, nil); err == nil {
				t.Errorf("repaired without %s, %s and %s", names[a], names[b], names[third])
			}
			regtest.WantFiles(t, empty)
		}
	}
}

// Bad blocks that are scattered over media are repaired where each stripe has no
// more of them than there is parity, besides parts that are lost whole.
func TestScatteredDamage(t *testing.T) {
	t.Parallel()
	dir, whole, set, tr := protected(t, 2)
	for range 8 {
		left, fixed := copyFolder(t, dir), t.TempDir()
		var harmed []string
		for _, i := range rand.Perm(len(set.Parts))[:2] {
			name := filepath.Base(set.Parts[i].Path)
			harmed = append(harmed, name)
			switch rand.IntN(3) {
			case 0:
				flipBit(t, filepath.Join(left, name), rand.Int64N(set.Parts[i].Size))
			case 1:
				if err := os.Truncate(filepath.Join(left, name), rand.Int64N(set.Parts[i].Size)); err != nil {
					t.Fatal(err)
				}
			case 2:
				if err := os.WriteFile(filepath.Join(left, name), make([]byte, set.Parts[i].Size), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		r, err := Verify(context.Background(), left, tr, nil)
		if err != nil {
			t.Fatalf("%v: %v", harmed, err)
		}
		if len(r.Parts.Problems) == 0 {
			t.Errorf("%v: no word of it", harmed)
		}
		rep, err := Repair(context.Background(), left, RepairOptions{Folder: fixed}, nil)
		if err != nil || len(rep.Parts) != 2 {
			t.Fatalf("%v: %+v, %v", harmed, rep, err)
		}
		for _, name := range harmed {
			if regtest.ReadFile(t, fixed, name) != regtest.ReadFile(t, dir, name) {
				t.Errorf("%s is not as it was", name)
			}
		}
		priv := startRegistry(t)
		o := onto(priv, tr)
		o.OutputDir = t.TempDir()
		if _, err := Import(context.Background(), left, o); err != nil {
			t.Fatal(err)
		}
		sameContent(t, priv, whole, tr)
	}
}

// A bit that changes what a file says it is, in SHA256SUMS or in set.json, is damage
// like any other, and no second bundle.
func TestDamagedID(t *testing.T) {
	dir, _, set, tr := protected(t, 2)
	first := filepath.Base(set.Parts[0].Path)
	for _, tc := range []struct{ name, file, text string }{
		{"sums of the first part", first, "  blobs/sha256/"},
		{"sums of the head", "app.bundle.tar.head", "  blobs/sha256/"},
		{"id in set.json", "app.bundle.tar.set.json", "\",\n \"name\": "},
	} {
		left, fixed := copyFolder(t, dir), t.TempDir()
		path := filepath.Join(left, tc.file)
		hurt(t, path, tc.text)
		r, err := Verify(context.Background(), left, tr, nil)
		if err != nil || len(r.Parts.Problems) == 0 {
			t.Errorf("%s: %+v, %v", tc.name, r, err)
			continue
		}
		if !strings.Contains(fmt.Sprint(r.Parts.Problems), tc.file) {
			t.Errorf("%s: %v", tc.name, r.Parts.Problems)
		}
		if _, err = Repair(context.Background(), left, RepairOptions{Folder: fixed}, nil); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		} else if tc.file == first && regtest.ReadFile(t, fixed, first) != regtest.ReadFile(t, dir, first) {
			t.Errorf("%s is not as it was", first)
		}
	}
}

// hurt changes the hex digit before the first occurrence of a text in a file.
func hurt(t *testing.T, path, before string) {
	t.Helper()
	b := []byte(regtest.ReadFile(t, path))
	at := bytes.Index(b, []byte(before)) - 1
	if at < 0 {
		t.Fatalf("%s has no %q", path, before)
	}
	b[at] = "0123456789abcdef"[(strings.IndexByte("0123456789abcdef", b[at])+1)%16]
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A bundle in one file is protected too: in it, damage is repaired that lies in as
// many places as there is parity.
func TestProtectFile(t *testing.T) {
	t.Parallel()
	_, whole, _, _, tr := inParts(t, SetOptions{Folders: []string{t.TempDir()}})
	dir := filepath.Dir(whole)
	r, err := Protect(context.Background(), whole, ProtectOptions{Percent: 10}, nil)
	if err != nil || r.Parity != 2 || len(r.Parts) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	want := regtest.ReadFile(t, whole)
	if v, err := Verify(context.Background(), whole, tr, nil); err != nil || v.Parts.Spare != 2 {
		t.Fatalf("%+v, %v", v, err)
	}
	var usage *UsageError
	if _, err := Protect(context.Background(), whole, ProtectOptions{Parity: 2}, nil); !errors.As(err, &usage) {
		t.Errorf("protected twice: %v", err)
	}
	flipBit(t, whole, int64(len(want)/2))
	fixed := t.TempDir()
	rep, err := Repair(context.Background(), dir, RepairOptions{Folder: fixed}, nil)
	if err != nil || len(rep.Parts) != 1 || regtest.ReadFile(t, fixed, "app.bundle.tar") != want {
		t.Errorf("%+v, %v", rep, err)
	}
	// The head is on the medium a second time.
	flipBit(t, whole, 600)
	if _, err := Verify(context.Background(), whole, tr, nil); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(whole, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
	hurt(t, whole, "  blobs/sha256/")
	fixed = t.TempDir()
	rep, err = Repair(context.Background(), dir, RepairOptions{Folder: fixed}, nil)
	if err != nil || len(rep.Parts) != 1 || regtest.ReadFile(t, fixed, "app.bundle.tar") != want {
		t.Errorf("%+v, %v", rep, err)
	}
}

// A set that exists is protected as one that is written with parity.
func TestProtectSet(t *testing.T) {
	dir, _, set, _ := protected(t, 2)
	plain, out := copyFolder(t, dir), t.TempDir()
	for _, name := range []string{"app.bundle.tar.p01", "app.bundle.tar.p02", "app.bundle.tar.blocks", "app.bundle.tar.set.json"} {
		if err := os.Remove(filepath.Join(plain, name)); err != nil {
			t.Fatal(err)
		}
	}
	// A set.json without parity.
	s, err := Split(context.Background(), plain, SetOptions{Folders: []string{t.TempDir()}, Size: PartSize{Bytes: partSize}}, nil)
	if err == nil {
		plain = filepath.Dir(s.Parts[0].Path)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := Protect(context.Background(), plain, ProtectOptions{Parity: 2, Folders: []string{out}}, nil)
	if err != nil || len(r.Parts) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, name := range []string{"app.bundle.tar.p01", "app.bundle.tar.p02", "app.bundle.tar.blocks", "app.bundle.tar.set.json"} {
		if regtest.ReadFile(t, out, name) != regtest.ReadFile(t, dir, name) {
			t.Errorf("%s differs", name)
		}
	}
	if set.Count != len(set.Parts) {
		t.Errorf("%d of %d", len(set.Parts), set.Count)
	}
}

// Media that are never there together: parity is computed part by part, and is the
// same.
func TestParityMediumByMedium(t *testing.T) {
	dir, whole, set, _ := protected(t, 2)
	state := t.TempDir()
	for k := 1; k <= set.Count; k++ {
		medium := t.TempDir()
		r, err := Split(context.Background(), whole, SetOptions{
			Folders: []string{medium}, Size: PartSize{Bytes: partSize}, Parity: 2, Only: []int{k}, State: state,
		}, nil)
		if err != nil || len(r.Parts) != 1 {
			t.Fatalf("part %d: %+v, %v", k, r, err)
		}
		name := filepath.Base(set.Parts[k-1].Path)
		if regtest.ReadFile(t, medium, name) != regtest.ReadFile(t, dir, name) {
			t.Errorf("%s differs", name)
		}
	}
	for _, name := range regtest.Files(t, state) {
		if strings.HasSuffix(name, ".partial") {
			t.Errorf("%s is left", name)
		}
	}
}
