package bundle

import (
	"bytes"
	"context"
	"fmt"
	"io"
	rand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/carried"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/trust"
	"bundle/layout"
	"bundle/testdata/hostile"
	"bundle/testdata/regtest"
)

// layerSize is that of the layer in the bundle that bits are flipped in.
const layerSize = 40_000

// flippable returns a whole bundle, whom to believed for it, and where its layer
// lies.
func flippable(t *testing.T) (whole []byte, believed *trust.Trust, layer layout.Entry) {
	t.Helper()
	believed, err := trust.LoadTrust(context.Background(), []string{writeKey(t)}, "")
	if err != nil {
		t.Fatal(err)
	}
	c := hostile.Good(layerSize)
	if whole, err = io.ReadAll(io.NewSectionReader(c, 0, c.Size)); err != nil {
		t.Fatal(err)
	}
	b, err := open.Reader(t.Context(), bytes.NewReader(whole), c.Size, believed)
	if err != nil {
		t.Fatal(err)
	}
	for e := range b.Reader.All() {
		if e.Size > layer.Size {
			layer = e
		}
	}
	if layer.Size != layerSize {
		t.Fatalf("the largest entry has %d bytes", layer.Size)
	}
	return whole, believed, layer
}

// flips are the bits to flip: one of every byte but those of the layer, of
// which there is a sample, the first and the last of it included.
func flips(whole []byte, layer layout.Entry) []int {
	r := rand.New(rand.NewPCG(1, 2))
	var bits []int
	for at := range whole {
		if int64(at) < layer.Offset || int64(at) >= layer.Offset+layer.Size {
			bits = append(bits, 8*at+r.IntN(8))
		}
	}
	first, last := int(layer.Offset), int(layer.Offset+layer.Size-1)
	bits = append(bits, 8*first, 8*last+7)
	for range 2000 {
		bits = append(bits, 8*(first+r.IntN(layerSize))+r.IntN(8))
	}
	return bits
}

func flip(b []byte, bit int) { b[bit/8] ^= 1 << (bit % 8) }

// Any bit that is flipped anywhere in a bundle is found by what Verify does.
func TestFlips(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("one process and much hashing: for the pass without the race detector")
	}
	whole, believed, layer := flippable(t)
	bits := flips(whole, layer)
	if len(bits) < 5000 {
		t.Errorf("only %d bits", len(bits))
	}
	workers := runtime.GOMAXPROCS(0)
	var g errgroup.Group
	for w := range workers {
		g.Go(func() error {
			data := bytes.Clone(whole)
			for i := w; i < len(bits); i += workers {
				flip(data, bits[i])
				err := verifyBytes(data, believed)
				if kind := fault.KindOf(err); err == nil || kind != fault.Damaged && kind != fault.Untrusted {
					return fmt.Errorf("bit %d of byte %d: kind %d: %w", bits[i]%8, bits[i]/8, kind, err)
				}
				flip(data, bits[i])
			}
			return verifyBytes(data, believed)
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d bits in %d bytes", len(bits), len(whole))
}

// verifyBytes is Verify of a bundle in memory.
func verifyBytes(data []byte, believed *trust.Trust) error {
	b, err := open.Reader(context.Background(), bytes.NewReader(data), int64(len(data)), believed)
	if err != nil {
		return err
	}
	return carried.Check(context.Background(), b, progress.OrSilent(nil))
}

// A bundle with a flipped bit changes nothing that a client of the registry
// can see: no tag, no manifest, no chart, wherever the bit is. What is there
// under the same names stays as it was.
func TestFlipsImport(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("one process and much hashing: for the pass without the race detector")
	}
	whole, believed, layer := flippable(t)
	priv := startRegistry(t)
	bits := flips(whole, layer)
	var sample []int
	for i := 0; i < len(bits)-2000; i += len(bits) / 40 {
		sample = append(sample, bits[i])
	}
	sample = append(sample, bits[len(bits)-40:]...) // in the layer: found while it is being sent
	if len(sample) < 50 {
		t.Errorf("only %d bits", len(sample))
	}
	pushed := 0
	for i, bit := range sample {
		// A project of its own for each, so that none finds what another sent.
		project := fmt.Sprintf("apps%d", i)
		old := pushImage(t, priv, project+"/acme/app:1", small(int64(i)))
		priv.Log.Reset()
		data := bytes.Clone(whole)
		flip(data, bit)
		path := filepath.Join(t.TempDir(), "x.bundle.tar")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		o := onto(priv, believed)
		o.Registry.Prefix, o.OutputDir = project, filepath.Join(t.TempDir(), "out")
		_, err := Import(context.Background(), path, o)
		if kind := fault.KindOf(err); err == nil || kind != fault.Damaged && kind != fault.Untrusted {
			t.Errorf("bit %d of byte %d: kind %d: %v", bit%8, bit/8, kind, err)
		}
		if n := priv.Log.Count("PUT", regtest.Manifest); n != 0 {
			t.Errorf("bit %d of byte %d: %d manifests pushed", bit%8, bit/8, n)
		}
		holds(t, priv, project+"/acme/app:1", old.Digest)
		lacks(t, priv, project+"/charts/app:1.0.0")
		if _, err := os.Stat(o.OutputDir); !os.IsNotExist(err) {
			t.Errorf("bit %d of byte %d: output folder: %v", bit%8, bit/8, err)
		}
		pushed += priv.Log.Count("POST", regtest.Upload)
	}
	if pushed == 0 {
		t.Error("no import came as far as its blobs: the sample shows nothing")
	}
	// The same with no bit flipped does arrive.
	path := filepath.Join(t.TempDir(), "x.bundle.tar")
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	r := mustImport(t, path, onto(priv, believed))
	holds(t, priv, "apps/acme/app:1", digest.Digest(r.Images[0].Digest))
	t.Logf("%d bits, %d uploads begun", len(sample), pushed)
}
