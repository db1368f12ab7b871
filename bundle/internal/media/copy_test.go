package media_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bundle/bundle/internal/media"
	"bundle/testdata/regtest"
)

// content is several buffers long, and no multiple of one.
var content = strings.Repeat("0123456789abcdef", 70_000)[:1_111_111]

func section() *io.SectionReader {
	return io.NewSectionReader(strings.NewReader(content), 0, int64(len(content)))
}

// A copy has its name when it is whole; what a run left that was stopped is kept as far
// as it is the same.
func TestCopy(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		partial string // what an earlier run left
		there   string // under the name
	}{
		"nothing there":    {},
		"half is there":    {partial: content[:600_000]},
		"all is there":     {partial: content},
		"more is there":    {partial: content + "x"},
		"other is there":   {partial: strings.Repeat("x", 2_000_000)},
		"differs behind":   {partial: content[:600_000] + "x"},
		"replaces another": {there: "another"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			if tc.partial != "" {
				writeFile(t, tc.partial, path+".partial")
			}
			if tc.there != "" {
				writeFile(t, tc.there, path)
			}
			told := int64(0)
			commit, err := media.Begin(context.Background(), path, section(), func(n int64) { told += n })
			must(t, err)
			if b, err := os.ReadFile(path); string(b) != tc.there {
				t.Errorf("before commit, %d bytes have the name, %v", len(b), err)
			}
			must(t, commit())
			regtest.WantFiles(t, dir, "f")
			if regtest.ReadFile(t, path) != content || told != int64(len(content)) {
				t.Errorf("%d bytes were told of %d", told, len(content))
			}
			must(t, media.CopyAndCompare(context.Background(), path, section(), func(int64) {}))
		})
	}
}

// What was copied before the end came stays for the next run.
func TestCopyEnds(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	ctx, cancel := context.WithCancel(context.Background())
	err := media.Copy(ctx, path, section(), func(n int64) {
		if n > 0 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	regtest.WantFiles(t, dir, "f.partial")
	if left := regtest.ReadFile(t, path+".partial"); left == "" || !strings.HasPrefix(content, left) {
		t.Errorf("%d bytes are left", len(left))
	}
	if err := media.CopyAndCompare(ctx, path, section(), func(int64) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	short := io.NewSectionReader(strings.NewReader(content[:1000]), 0, 2000)
	if err := media.Copy(context.Background(), path, short, func(int64) {}); !errors.Is(err, io.EOF) {
		t.Errorf("a source that ends early: %v", err)
	}
	must(t, os.Remove(path+".partial"))
	must(t, os.Mkdir(path+".partial", 0o755))
	if err := media.Copy(context.Background(), path, section(), func(int64) {}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder in the way: %v", err)
	}
}

func TestHolds(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, content, dir, "same")
	writeFile(t, content[:1000], dir, "shorter")
	writeFile(t, content[:1_111_110]+"x", dir, "other")
	must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	must(t, os.Symlink("same", filepath.Join(dir, "link")))
	for name, want := range map[string]bool{"same": true, "shorter": false, "other": false, "folder": false, "link": false} {
		if got, err := media.Holds(context.Background(), filepath.Join(dir, name), section()); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := media.Holds(context.Background(), filepath.Join(dir, "none"), section()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := media.Holds(ctx, filepath.Join(dir, "same"), section()); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestAllocated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if n := media.Allocated(path); n != 0 {
		t.Errorf("a file that is not there takes %d bytes", n)
	}
	writeFile(t, content, path)
	if n := media.Allocated(path); n < int64(len(content)) {
		t.Errorf("%d bytes take %d", len(content), n)
	}
}
