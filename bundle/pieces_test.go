package bundle

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/bundle/reports"
)

// asked plays a person who puts in what is asked for. It gives up after too many.
func asked(drive string, media []string) func(context.Context, *reports.MissingError) error {
	swaps := 0
	return func(_ context.Context, m *reports.MissingError) error {
		next := m.Next
		if next == 0 {
			next = m.Parts[0]
		}
		if swaps++; swaps > 30 {
			return errors.New("it asks and asks")
		}
		if err := os.RemoveAll(drive); err != nil {
			return err
		}
		return os.Symlink(media[next-1], drive)
	}
}

// A layer that is cut arrives piece by piece through one drive, without a folder on
// this machine; the second repository gets it from the first.
func TestPieces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, whole, _, set, tr := inParts(t, SetOptions{Folders: []string{dir}})
	media := mediumEach(t, set)
	for first := range media {
		drive := filepath.Join(t.TempDir(), "drive")
		if err := os.Symlink(media[first], drive); err != nil {
			t.Fatal(err)
		}
		priv := startRegistry(t)
		o := onto(priv, tr)
		o.OutputDir = t.TempDir()
		o.Swap = asked(drive, media)
		r := mustImport(t, drive, o)
		if r.Bytes.Sent > 500_000 {
			t.Errorf("sent %d bytes", r.Bytes.Sent)
		}
		sameContent(t, priv, whole, tr)
	}
}

// A piece that is damaged, or that is another one when its medium comes again, never
// becomes a layer.
func TestPieceLies(t *testing.T) {
	dir := t.TempDir()
	_, _, _, set, tr := inParts(t, SetOptions{Folders: []string{dir}})
	media := mediumEach(t, set)
	drive := filepath.Join(t.TempDir(), "drive")
	if err := os.Symlink(media[0], drive); err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(media[2], "app.bundle.tar.003") // in it the layer of appc goes on
	if err := os.Chmod(cut, 0o644); err != nil {
		t.Fatal(err)
	}
	flipBit(t, cut, 20_000)
	priv := startRegistry(t)
	o := onto(priv, tr)
	o.OutputDir = t.TempDir()
	o.Swap = asked(drive, media)
	_, err := Import(context.Background(), drive, o)
	if err == nil || fault.KindOf(err) != fault.Damaged || !strings.Contains(err.Error(), "appc") {
		t.Errorf("kind %v: %v", fault.KindOf(err), err)
	}
	for _, ref := range []string{"appa", "appb", "appc", "appd", "appe"} {
		lacks(t, priv, "apps/acme/"+ref+":1")
	}
}
