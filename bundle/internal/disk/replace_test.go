package disk

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"bundle/testdata/regtest"
)

func replace(t *testing.T, dir string, names ...string) []string {
	t.Helper()
	files := make(map[string]File)
	for _, n := range names {
		files[n] = File{Content: []byte("content of " + n)}
	}
	changed, err := Replace(dir, files)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// What an earlier call wrote, and this one does not, is taken away; what a user put
// there or changed stays.
func TestReplace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	replace(t, dir, "a/b/one", "a/two", "three", "four")
	for name, text := range map[string]string{"a/mine": "x", "three": "changed", "four": "content of four"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if changed := replace(t, dir, "five"); !slices.Equal(changed, []string{"three"}) {
		t.Errorf("changed %q", changed)
	}
	regtest.WantFiles(t, dir, ListName, "a/mine", "five", "three")
	// It is the user's now, and spoken of once.
	if changed := replace(t, dir, "five"); changed != nil {
		t.Errorf("changed %q", changed)
	}
	regtest.WantFiles(t, dir, ListName, "a/mine", "five", "three")
}

// A list that was made by hand does not take away what lies elsewhere, or what has
// other content.
func TestReplaceForeignList(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "out")
	replace(t, dir, "x")
	for name, text := range map[string]string{
		"victim": "content of victim", "out/linked": "content of victim",
		"out/" + ListName: sum([]byte("content of victim")) + "  ../victim\n" + sum([]byte("content of victim")) + "  " + top + "/victim\n" +
			sum([]byte("content of victim")) + "  link/victim\n\nnonsense\n" + sum([]byte("other")) + "  linked\n",
	} {
		if err := os.WriteFile(filepath.Join(top, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(top, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	replace(t, dir, "y")
	for _, name := range []string{"victim", "out/linked", "out/x"} {
		if _, err := os.Stat(filepath.Join(top, name)); err != nil {
			t.Error(err)
		}
	}
}

// Private files are the user's alone.
func TestReplacePrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Replace(dir, map[string]File{"secret": {Private: true}, "open": {}}); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(dir, "secret")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if st, err := os.Stat(filepath.Join(dir, "open")); err != nil || st.Mode().Perm()&0o400 == 0 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

// A seed is written once, and again only as long as nobody changed it.
func TestReplaceSeed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(content string) {
		t.Helper()
		if changed, err := Replace(dir, map[string]File{"seed": {Content: []byte(content), Seed: true}}); err != nil || changed != nil {
			t.Fatal(changed, err)
		}
	}
	read := func(want string) {
		t.Helper()
		if got := regtest.ReadFile(t, dir, "seed"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	write("one")
	write("two")
	read("two")
	if err := os.WriteFile(filepath.Join(dir, "seed"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	write("three")
	read("mine")
	write("four")
	read("mine")
}
