package bundle

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/transfer"
	"bundle/bundle/internal/trust"
	"bundle/testdata/hostile"
	"bundle/testdata/regtest"
)

// lower is by how much smaller the layers of tests are that are large in life.
const lower = 8

// Charts are rendered as the program does it: in a child.
func TestMain(m *testing.M) {
	if code, ok := Child(); ok {
		os.Exit(code)
	}
	if flag.Parse(); flag.Lookup("test.bench").Value.String() == "" {
		transfer.Lower(lower)
	}
	os.Exit(m.Run())
}

// A chart whose templates ask for more than there is ends an import with one error
// before a file is written or the registry hears anything. The bundle is whole.
func TestBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("much memory is taken: for the pass without the race detector")
	}
	trust, err := trust.LoadTrust(context.Background(), []string{writeKey(t)}, "")
	if err != nil {
		t.Fatal(err)
	}
	priv := startRegistry(t)
	for _, b := range hostile.Bombs() {
		t.Run(b.Name, func(t *testing.T) {
			if b.Greedy {
				defer chart.Lower(16)()
			}
			dir := t.TempDir()
			path := filepath.Join(dir, "x.bundle.tar")
			if _, err := b.Make().WriteFile(path); err != nil {
				t.Fatal(err)
			}
			if _, err := Verify(t.Context(), path, trust, nil); err != nil {
				t.Error(err)
			}
			o := onto(priv, trust)
			o.OutputDir, o.RenderDir = filepath.Join(dir, "out"), filepath.Join(dir, "render")
			o.Receipt.Path = filepath.Join(dir, "receipt.json")
			switch _, err := Import(t.Context(), path, o); {
			case err == nil:
				t.Error("not refused")
			case fault.KindOf(err) != fault.Failed || !strings.Contains(err.Error(), b.Message) || fault.Hint(err) == "":
				t.Errorf("kind %d, want %q:\n%.500v\nhint: %s", fault.KindOf(err), b.Message, err, fault.Hint(err))
			case record.Printable(err.Error()) != err.Error():
				t.Errorf("message is not fit for a terminal: %.500q", err)
			}
			regtest.WantFiles(t, dir, "x.bundle.tar")
			for _, r := range priv.Log.Requests() {
				t.Errorf("the registry was asked: %s %s", r.Method, r.Path)
			}
			priv.Log.Reset()
		})
	}
}
