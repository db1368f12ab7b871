package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/bundle/reports"
	"bundle/testdata/regtest"
)

// inHead are places in the begin of a bundle, by the text behind them: what is signed,
// the signature, documents.
var inHead = map[string]string{
	"signature": "-----END SSH SIGNATURE",
	"index":     `"manifests":`,
	"manifest":  "application/vnd.oci.image.manifest.v1+json\",\"config",
	"config":    `"rootfs"`,
}

// Where the head on one medium is damaged, that of another takes its place, and the
// damaged one is named.
func TestDamagedHead(t *testing.T) {
	t.Parallel()
	for name, before := range inHead {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, whole, _, set, tr := inParts(t, SetOptions{Folders: []string{dir}})
			media := mediumEach(t, set)
			for _, victims := range [][]string{
				{filepath.Join(media[2], "app.bundle.tar.head")},
				{filepath.Join(media[0], "app.bundle.tar.001")},
				{filepath.Join(media[0], "app.bundle.tar.001"), filepath.Join(media[1], "app.bundle.tar.head"), filepath.Join(media[3], "app.bundle.tar.head")},
			} {
				good := make(map[string]string)
				for _, path := range victims {
					good[path] = regtest.ReadFile(t, path)
					damage(t, path, before)
				}
				r, err := Inspect(context.Background(), media[3], tr, append(media[:3:3], media[4:]...)...)
				if err != nil {
					t.Fatalf("%v: %v", victims, err)
				}
				for _, path := range victims {
					if !strings.Contains(fmt.Sprint(r.Parts.Problems), path) {
						t.Errorf("%s is not named: %v", path, r.Parts.Problems)
					}
				}
				if _, err := Verify(context.Background(), media[0], tr, nil, media[1:]...); fault.KindOf(err) != fault.Damaged || !strings.Contains(err.Error(), victims[0]) {
					t.Errorf("verify: %v", err)
				}
				priv := startRegistry(t)
				o := onto(priv, tr)
				o.OutputDir, o.More = t.TempDir(), media[1:]
				mustImport(t, media[0], o)
				sameContent(t, priv, whole, tr)
				for path, content := range good {
					put(t, path, content)
				}
			}
		})
	}
}

// damage changes a byte before a text in a file.
func damage(t *testing.T, path, before string) {
	t.Helper()
	b := []byte(regtest.ReadFile(t, path))
	at := bytes.Index(b, []byte(before)) - 2
	if at < 0 {
		t.Fatalf("%s has no %q", path, before)
	}
	b[at] ^= 1
	put(t, path, string(b))
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte(content), 0o444)); err != nil {
		t.Fatal(err)
	}
}

// Through one drive, a medium whose head is damaged is named and another asked for;
// when it comes back beside a head that is right, its part is read.
func TestDamagedHeadInDrive(t *testing.T) {
	dir := t.TempDir()
	_, whole, _, set, tr := inParts(t, SetOptions{Folders: []string{dir}})
	media := mediumEach(t, set)
	damage(t, filepath.Join(media[1], "app.bundle.tar.head"), inHead["index"])
	drive := filepath.Join(t.TempDir(), "drive")
	insert := func(n int) {
		if err := os.RemoveAll(drive); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(media[n-1], drive); err != nil {
			t.Fatal(err)
		}
	}
	priv := startRegistry(t)
	o := onto(priv, tr)
	o.OutputDir = t.TempDir()
	insert(1)
	refused, swaps := false, 0
	o.Swap = func(_ context.Context, m *reports.MissingError) error {
		if swaps++; swaps > 20 {
			return errors.New("it asks and asks")
		}
		if len(m.Problems) > 0 {
			if !strings.Contains(strings.Join(m.Problems, ""), "app.bundle.tar.head") {
				t.Errorf("problems %q", m.Problems)
			}
			refused = true
			put(t, filepath.Join(media[1], "app.bundle.tar.head"), regtest.ReadFile(t, media[2], "app.bundle.tar.head"))
			return nil
		}
		next := m.Next
		if next == 0 {
			next = m.Parts[0]
		}
		insert(next)
		return nil
	}
	mustImport(t, drive, o)
	if !refused {
		t.Error("nobody was told of the damaged head")
	}
	sameContent(t, priv, whole, tr)
}
