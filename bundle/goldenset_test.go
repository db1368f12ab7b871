package bundle

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"bundle/testdata/regtest"
)

// goldenSet is the golden bundle in parts, with parity: history as that is.
const goldenSet = golden + "set-v1"

// A set of each version stays readable for ever, also where parts of it are lost, and
// the writer of today makes the same bytes.
func TestGoldenSet(t *testing.T) {
	made := t.TempDir()
	_, err := Split(context.Background(), golden+"v1.bundle.tar", SetOptions{Folders: []string{made}, Size: PartSize{Bytes: 34_000}, Parity: 2}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.CopyFS(goldenSet, os.DirFS(made)); err != nil {
			t.Fatal(err)
		}
	}
	names := regtest.Files(t, goldenSet)
	regtest.WantFiles(t, made, names...)
	for _, name := range names {
		if regtest.ReadFile(t, made, name) != regtest.ReadFile(t, goldenSet, name) {
			t.Errorf("%s is not made again", name)
		}
	}
	r, err := Verify(context.Background(), goldenSet, goldenTrust(t), nil)
	if err != nil || r.Parts.Count != 2 || r.Parts.Spare != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	left, fixed := copyFolder(t, goldenSet), t.TempDir()
	for _, name := range []string{"v1.bundle.tar.001", "v1.bundle.tar.002"} {
		if err := os.Remove(filepath.Join(left, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Repair(context.Background(), left, RepairOptions{Folder: fixed}, nil); err != nil {
		t.Fatal(err)
	}
	if regtest.ReadFile(t, fixed, "v1.bundle.tar.001")+regtest.ReadFile(t, fixed, "v1.bundle.tar.002") != regtest.ReadFile(t, golden+"v1.bundle.tar") {
		t.Error("what is repaired is not the golden bundle")
	}
	o := onto(startRegistry(t), goldenTrust(t))
	o.OutputDir = t.TempDir()
	mustImport(t, left, o)
}
