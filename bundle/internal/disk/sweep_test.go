package disk

import (
	"os"
	"path/filepath"
	"testing"

	"bundle/testdata/regtest"
)

// What a killed run left of a file goes when the file is written again, and nothing
// else with it.
func TestWriteSweeps(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		".list.ABCDEFGHIJKLMNOPQRSTUVWXYZ", ".list.short", ".list.abcdefghijklmnopqrstuvwxyz",
		".other.ABCDEFGHIJKLMNOPQRSTUVWXYZ", "list.ABCDEFGHIJKLMNOPQRSTUVWXYZ",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteFile(filepath.Join(dir, "list"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	regtest.WantFiles(t, dir, ".list.abcdefghijklmnopqrstuvwxyz", ".list.short", ".other.ABCDEFGHIJKLMNOPQRSTUVWXYZ",
		"list", "list.ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}
