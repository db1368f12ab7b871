package kit

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"bundle/bundle/internal/fault"
	"bundle/checksum"
)

var update = flag.Bool("update", false, "write the pages in testdata anew")

// The pages are what people read who have nothing else: read them.
func TestPages(t *testing.T) {
	linux := Program{Platform: "linux/amd64", Name: "bundle-linux-amd64", sum: checksum.Sum{Digest: [32]byte{1}}}
	windows := Program{Platform: "windows/amd64", Name: "bundle-windows-amd64.exe", sum: checksum.Sum{Digest: [32]byte{2}}}
	signed := About{
		Bundle: "operator-2.7.0.bundle.tar", Created: time.Date(2026, 11, 29, 6, 0, 0, 0, time.UTC), Tool: "bundle v1.2.3",
		Content: "chart operator 2.7.0, 6 images", Fingerprint: "SHA256:a2K4L8IuuE8EHGSnc3wb+SN4Ak3dmNq/z9Gc8m6wH7E",
	}
	unsigned, parts, delta := signed, signed, signed
	unsigned.Fingerprint, unsigned.Bundle = "", "site of today.tar"
	parts.Parts, parts.Spare = 5, 1
	delta.Leaves, delta.Bases = 58, []string{"bundle 49118d6579568229 of 2026-10-29"}
	for name, c := range map[string]struct {
		about    About
		programs []Program
	}{
		"signed":   {signed, []Program{windows, linux}},
		"unsigned": {unsigned, []Program{linux}},
		"parts":    {parts, []Program{linux}},
		"delta":    {delta, []Program{windows}},
	} {
		page, err := c.about.page(c.programs)
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, page, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if string(page) != string(want) {
			t.Errorf("%s: the page is not that of testdata (-update writes it):\n%s", name, page)
		}
		for n, line := range strings.Split(string(page), "\n") {
			if len(line) > 90 && !strings.HasPrefix(line, "    ") {
				t.Errorf("%s:%d: %d letters in a line", golden, n+1, len(line))
			}
			if line != strings.TrimRight(line, " ") {
				t.Errorf("%s:%d: blanks at the end", golden, n+1)
			}
		}
	}
}

func own(t *testing.T) *Kit {
	t.Helper()
	k, err := Open(context.Background(), Wanted{Platforms: []string{runtime.GOOS + "/" + runtime.GOARCH}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// What a kit needs in a folder is what is not there yet; Room says it before the page is
// written.
func TestNeed(t *testing.T) {
	k, dir := own(t), t.TempDir()
	room := k.Room()
	if err := k.Describe(About{Bundle: "a.tar", Sign: func([]byte) ([]byte, error) { return []byte("-----BEGIN SSH SIGNATURE-----\n"), nil }}); err != nil {
		t.Fatal(err)
	}
	all, err := k.Need(dir)
	if err != nil || all != k.Size() || all < k.Programs[0].Size || room < all-64<<10 {
		t.Fatalf("need %d (%v), size %d, room %d", all, err, k.Size(), room)
	}
	if err := k.Write(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	if need, err := k.Need(dir); err != nil || need != 0 {
		t.Fatalf("need %d (%v) where everything is", need, err)
	}
	if err := os.Truncate(filepath.Join(dir, pageName), 80); err != nil {
		t.Fatal(err)
	}
	if need, err := k.Need(dir); err != nil || need == 0 || need >= k.Programs[0].Size {
		t.Fatalf("need %d (%v) where the page is damaged", need, err)
	}
	if err := k.Write(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	for _, w := range k.Written() {
		if w.Kept != (filepath.Base(w.Path) != pageName) {
			t.Errorf("%s: kept %v", w.Path, w.Kept)
		}
	}
}

// What is in the way and not ours stays: files, links, folders.
func TestInTheWay(t *testing.T) {
	for _, name := range []string{"PROGRAM", pageName, listName, signatureName} {
		for kind, put := range map[string]func(path string) error{
			"file":   func(path string) error { return os.WriteFile(path, []byte("mine\n"), 0o644) },
			"folder": func(path string) error { return os.Mkdir(path, 0o755) },
			"link":   func(path string) error { return os.Symlink("elsewhere", path) },
		} {
			k, dir := own(t), t.TempDir()
			if err := k.Describe(About{Sign: func(b []byte) ([]byte, error) { return b, nil }}); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, strings.Replace(name, "PROGRAM", k.Programs[0].Name, 1))
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			var usage *fault.UsageError
			if _, err := k.Need(dir); !errors.As(err, &usage) {
				t.Errorf("%s of the name %s: %v", kind, name, err)
			}
			if err := k.Write(context.Background(), dir); !errors.As(err, &usage) {
				t.Errorf("%s of the name %s is written over: %v", kind, name, err)
			}
		}
	}
}

// An interrupted kit writes no more.
func TestInterrupted(t *testing.T) {
	k, dir := own(t), t.TempDir()
	if err := k.Describe(About{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := k.Write(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Archives of other shapes, and files that are none, are told apart: the folder is the
// user's own, and may have anything in it.
func TestOpenRefuses(t *testing.T) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	stem := "bundle_1_" + runtime.GOOS + "_" + runtime.GOARCH
	inside := "bundle"
	if runtime.GOOS == "windows" {
		inside = "bundle.exe"
	}
	for name, c := range map[string]struct {
		put  func(dir string) error
		want string
	}{
		"no archive": {func(dir string) error { return os.WriteFile(filepath.Join(dir, stem+".tar.gz"), []byte("x"), 0o644) }, ".tar.gz: "},
		"no zip":     {func(dir string) error { return os.WriteFile(filepath.Join(dir, stem+".zip"), []byte("x"), 0o644) }, ".zip: "},
		"empty": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, stem+".tar.gz"), gzipped(make([]byte, 1024)), 0o644)
		}, "there is no " + inside},
		"another file": {func(dir string) error { return os.WriteFile(filepath.Join(dir, stem), []byte("#!/bin/sh\n"), 0o755) }, "no program that Go made"},
		"a folder":     {func(dir string) error { return os.MkdirAll(filepath.Join(dir, stem, inside), 0o755) }, "not a regular file"},
		"no folder":    {os.Remove, "--tool-dir"},
	} {
		dir := t.TempDir()
		if err := c.put(dir); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), Wanted{Platforms: []string{platform}, Folder: dir})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
	for _, platform := range []string{"", "linux", "linux/", "/amd64", "linux/amd64/v2", "../x", "linux/.."} {
		if _, err := Open(t.Context(), Wanted{Platforms: []string{platform}}); err == nil {
			t.Errorf("platform %q is accepted", platform)
		}
	}
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b) // memory takes all
	_ = z.Close()
	return out.Bytes()
}
