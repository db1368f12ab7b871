package bundle

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/transfer"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/layout"
	"bundle/testdata/regtest"
)

const mib = 1 << 20

// impatient retries once, at once.
var impatient = Retry{Attempts: 2, MinWait: time.Millisecond, MaxWait: 2 * time.Millisecond, MaxRetryAfter: time.Second}

// large is an image whose layers are worth to be kept.
func large(seed int64, sizes ...int64) regtest.Image {
	im := regtest.Image{Layers: []regtest.Layer{{Size: 2 * mib, Seed: 1}}}
	for i, size := range sizes {
		im.Layers = append(im.Layers, regtest.Layer{Size: size, Seed: 100*seed + int64(i)})
	}
	return im
}

// interrupted exports twice: the first run meets a fault that ends it, the
// second one goes on. It returns the report of the second, whose requests alone
// are in the log of pub.
func interrupted(t *testing.T, pub *regtest.Registry, o ExportOptions, f regtest.Fault, between func()) *reports.Export {
	t.Helper()
	o.Registry.Retry = impatient
	o.Registry.Retry.Stall = quiet
	pub.Inject(f)
	_, err := Export(context.Background(), o)
	if err == nil {
		t.Fatal("the first run met no f")
	}
	if hint := fault.Hint(err); !strings.Contains(hint, o.Output+".partial") {
		t.Errorf("error %v: hint %q does not say what is kept", err, hint)
	}
	regtest.WantFiles(t, filepath.Dir(o.Output), filepath.Base(o.Output)+".partial")
	pub.ClearFaults()
	o.Registry.Retry.Stall = 0
	if between != nil {
		between()
	}
	pub.Log.Reset()
	r := mustExport(t, o)
	regtest.WantFiles(t, filepath.Dir(o.Output), filepath.Base(o.Output))
	return r
}

// same requires that a bundle has the bytes that a run without any fault gives.
func same(t *testing.T, o ExportOptions, r *reports.Export) {
	t.Helper()
	o.Created = r.Created
	o.Output = filepath.Join(t.TempDir(), "undisturbed.tar")
	undisturbed := mustExport(t, o)
	if regtest.ReadFile(t, r.Output) != regtest.ReadFile(t, undisturbed.Output) {
		t.Error("the bundle differs from that of an undisturbed run")
	}
}

// fetched returns the requests for blobs by path, with their ranges.
func fetched(reg *regtest.Registry) map[string][]string {
	all := make(map[string][]string)
	for _, r := range reg.Log.Requests() {
		if r.Method == "GET" && r.Class == regtest.Blob {
			all[r.Path] = append(all[r.Path], r.Header.Get("Range"))
		}
	}
	return all
}

// layerOf returns the digest of a layer of an image.
func layerOf(t *testing.T, reg *regtest.Registry, ref string, i int) digest.Digest {
	t.Helper()
	_, manifest, err := reg.Manifest(context.Background(), ref)
	if err != nil {
		t.Fatal(err)
	}
	children, err := layout.Children("application/vnd.oci.image.manifest.v1+json", manifest)
	if err != nil {
		t.Fatal(err)
	}
	return children[1+i].Digest
}

// What was fetched is not fetched again, a layer that was cut goes on by Range,
// the time is that of the first run, and the file is the same as if nothing had
// happened.
func TestExportGoesOn(t *testing.T) {
	t.Parallel()
	pub := startRegistry(t)
	pushImage(t, pub, "acme/a:1", large(1, 3*mib))
	pushImage(t, pub, "acme/b:1", large(2, 4*mib))
	cut := layerOf(t, pub, "acme/b:1", 1)
	signer, trust := newKey(t)
	o := ExportOptions{
		Images: []string{"acme/a:1", "acme/b:1"}, Signer: signer, Jobs: 1,
		Output: filepath.Join(t.TempDir(), "x.tar"), Registry: through(pub),
	}
	// The largest layer comes first, so that it is what is cut last.
	first := true
	r := interrupted(t, pub, o, regtest.Fault{
		Method: "GET", Path: cut.Encoded(), Do: func(w http.ResponseWriter, q *http.Request, next http.Handler) {
			if first {
				first = false
				regtest.Stall(3*mib)(w, q, next) // a reset would take with it what is on its way
				return
			}
			regtest.Status(404)(w, q, next)
		},
	}, nil)
	requests := fetched(pub)["/v2/acme/b/blobs/"+cut.String()]
	var from int64
	if len(requests) == 1 {
		fmt.Sscanf(requests[0], "bytes=%d-", &from) //nolint:errcheck // 0 is wrong as well
	}
	if from < 2*mib {
		t.Errorf("the layer that was cut was asked for with ranges %q, want one from 2 MiB on", requests)
	}
	if r.Resumed < 2*mib {
		t.Errorf("resumed %d bytes", r.Resumed)
	}
	if _, err := Verify(context.Background(), r.Output, trust, nil); err != nil {
		t.Error(err)
	}
	same(t, o, r)
}

// Layers that are finished are verified where they lie.
func TestExportKeepsFinished(t *testing.T) {
	t.Parallel()
	pub := startRegistry(t)
	pushImage(t, pub, "acme/a:1", large(1, 3*mib))
	pushImage(t, pub, "acme/b:1", large(2, mib))
	last := layerOf(t, pub, "acme/b:1", 1)
	o := ExportOptions{
		Images: []string{"acme/a:1", "acme/b:1"}, Unsigned: true, Jobs: 1,
		Output: filepath.Join(t.TempDir(), "x.tar"), Registry: through(pub),
	}
	gone := regtest.Fault{Method: "GET", Path: last.Encoded(), Do: regtest.Status(404)}
	t.Run("whole", func(t *testing.T) {
		r := interrupted(t, pub, o, gone, nil)
		for path := range fetched(pub) {
			if d := layerOf(t, pub, "acme/a:1", 1); strings.Contains(path, d.Encoded()) {
				t.Errorf("%s was fetched again", path)
			}
		}
		same(t, o, r)
	})
	if err := os.Remove(o.Output); err != nil {
		t.Fatal(err)
	}
	t.Run("damaged meanwhile", func(t *testing.T) {
		r := interrupted(t, pub, o, gone, func() {
			d := layerOf(t, pub, "acme/a:1", 1)
			p, file, err := layout.OpenPartial(o.Output)
			if err != nil {
				t.Fatal(err)
			}
			e, _ := p.Entry(layout.BlobName(d))
			f, err := os.OpenFile(o.Output+".partial", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt([]byte("wrong"), e.Offset+e.Size/2)
			if err := errors.Join(err, f.Close(), file.Close()); err != nil {
				t.Fatal(err)
			}
		})
		same(t, o, r)
	})
}

// A tag that moved between the runs is said; what it does not concern is taken
// from what is there.
func TestExportTagMoved(t *testing.T) {
	t.Parallel()
	pub := startRegistry(t)
	was := pushImage(t, pub, "acme/a:1", large(1, mib))
	pushImage(t, pub, "acme/b:1", large(2, 3*mib))
	base := layerOf(t, pub, "acme/a:1", 0)
	signer, _ := newKey(t)
	o := ExportOptions{
		Images: []string{"acme/a:1", "acme/b:1"}, Signer: signer, Jobs: 1,
		Output: filepath.Join(t.TempDir(), "x.tar"), Registry: through(pub),
	}
	var now digest.Digest
	gone := regtest.Fault{Method: "GET", Path: layerOf(t, pub, "acme/a:1", 1).Encoded(), Do: regtest.Status(404)}
	r := interrupted(t, pub, o, gone, func() {
		now = pushImage(t, pub, "acme/a:1", large(3, mib, 5000)).Digest
	})
	want := transfer.Change{Reference: "docker.io/acme/a:1", Was: was.Digest, Now: now}
	if len(r.Changed) != 1 || r.Changed[0] != want {
		t.Errorf("changed: %+v, want %+v", r.Changed, want)
	}
	for path := range fetched(pub) {
		if strings.Contains(path, base.Encoded()) || strings.Contains(path, layerOf(t, pub, "acme/b:1", 1).Encoded()) {
			t.Errorf("%s was fetched again", path)
		}
	}
	same(t, o, r)
}

// Signatures that come out differently each time are kept as well.
func TestExportKeepsSignature(t *testing.T) {
	t.Parallel()
	pub := startRegistry(t)
	pushImage(t, pub, "acme/a:1", large(1, mib))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	o := ExportOptions{
		Images: []string{"acme/a:1"}, Signer: &trust.Signer{Key: signer}, Jobs: 1,
		Output: filepath.Join(t.TempDir(), "x.tar"), Registry: through(pub),
	}
	var before []byte
	gone := regtest.Fault{Method: "GET", Path: layerOf(t, pub, "acme/a:1", 1).Encoded(), Do: regtest.Status(404)}
	r := interrupted(t, pub, o, gone, func() { before = partialSignature(t, o.Output) })
	b := mustOpen(t, r.Output, trust.TrustAnyone())
	after, err := b.Reader.ReadFile(layout.SignatureFile, mib)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the signature is another one (%v)", err)
	}
	if r.Resumed == 0 {
		t.Error("nothing was gone on with")
	}
}

// What is not worth to be gone on with is not left, nor is anything after wrong
// content alone.
func TestExportLeavesNothing(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/a:1", small(1))
	out := t.TempDir()
	pub.Inject(regtest.Fault{Method: "GET", Path: layerOf(t, pub, "acme/a:1", 1).Encoded(), Do: regtest.Status(404)})
	_, err := Export(context.Background(), ExportOptions{
		Images: []string{"acme/a:1"}, Unsigned: true, Output: filepath.Join(out, "x.tar"), Registry: through(pub),
	})
	wantError(t, err, fault.Failed, "docker.io/acme/a:1", "404")
	regtest.WantFiles(t, out)
}

// A large layer comes in several pieces where the registry serves ranges, and
// as a whole where not. A piece that is wrong is noticed, and the layer fetched
// once more.
func TestExportPieces(t *testing.T) {
	t.Parallel()
	pub := startRegistry(t)
	pushImage(t, pub, "acme/a:1", large(1, 40*mib/lower))
	layer := layerOf(t, pub, "acme/a:1", 1)
	signer, trust := newKey(t)
	var reference string
	tests := []struct {
		name   string
		faults []regtest.Fault
		check  func(t *testing.T, ranges []string)
	}{
		{"in pieces", nil, func(t *testing.T, ranges []string) {
			if len(ranges) < 2 {
				t.Errorf("asked for with ranges %q, want several", ranges)
			}
		}},
		{"without ranges", []regtest.Fault{{Class: regtest.Blob, Do: regtest.WithoutHeader("Range")}}, func(*testing.T, []string) {}},
		{"pieces reset", []regtest.Fault{{Method: "GET", Class: regtest.Blob, Match: ranged, Times: 3, Do: regtest.Reset(mib / lower)}}, func(*testing.T, []string) {}},
		{"wrong piece", []regtest.Fault{{Method: "GET", Class: regtest.Blob, Match: ranged, Times: 1, Do: regtest.Corrupt(1000)}},
			func(t *testing.T, ranges []string) {
				if last := ranges[len(ranges)-1]; last != "" {
					t.Errorf("asked for with ranges %q, want the whole at last", ranges)
				}
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pub.ClearFaults()
			pub.Log.Reset()
			for _, f := range tt.faults {
				pub.Inject(f)
			}
			o := ExportOptions{Images: []string{"acme/a:1"}, Signer: signer, Registry: through(pub), Jobs: 4, Created: time.Unix(1e9, 0)}
			o.Registry.Retry = Retry{MinWait: time.Millisecond}
			p := &watcher{t: t}
			o.Progress = p
			r := mustExport(t, o)
			tt.check(t, fetched(pub)["/v2/acme/a/blobs/"+layer.String()])
			if _, err := Verify(context.Background(), r.Output, trust, nil); err != nil {
				t.Error(err)
			}
			got := regtest.ReadFile(t, r.Output)
			if reference == "" {
				reference = got
			}
			if got != reference {
				t.Error("the bundle differs")
			}
			p.complete("fetching")
		})
	}
}

// watcher is a Progress that demands that it never goes backwards nor beyond
// the total.
type watcher struct {
	t                     *testing.T
	mu                    sync.Mutex
	phase                 string
	total, moved, skipped int64
	ended                 map[string][3]int64
}

func (w *watcher) Phase(name string, total int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase, w.total, w.moved, w.skipped = name, total, 0, 0
}

func (w *watcher) Add(n int64)  { w.step(&w.moved, n) }
func (w *watcher) Skip(n int64) { w.step(&w.skipped, n) }

func (w *watcher) step(what *int64, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if *what += n; n <= 0 || w.moved+w.skipped > w.total {
		w.t.Errorf("%s: %d bytes more are %d moved and %d skipped of %d", w.phase, n, w.moved, w.skipped, w.total)
	}
}

func (w *watcher) Done(string) {}

func (w *watcher) End() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended == nil {
		w.ended = make(map[string][3]int64)
	}
	w.ended[w.phase] = [3]int64{w.moved, w.skipped, w.total}
}

// complete requires that a phase came to its total, and returns what it skipped.
func (w *watcher) complete(phase string) (skipped int64) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	end := w.ended[phase]
	if end[2] == 0 || end[0]+end[1] != end[2] {
		w.t.Errorf("%s ended with %d moved and %d skipped of %d", phase, end[0], end[1], end[2])
	}
	return end[1]
}

// A stream has the bytes of the file; so has a named pipe.
func TestExportStream(t *testing.T) {
	t.Parallel()
	pub := startRegistry(t)
	pushImage(t, pub, "acme/a:1", large(1, 5*mib, 1, 70_000))
	pushIndex(t, pub, "acme/b:1", platforms("linux/amd64", "linux/arm64"))
	signer, trust := newKey(t)
	o := ExportOptions{
		Images: []string{"acme/a:1", "acme/b:1"}, Signer: signer, Registry: through(pub), Created: time.Unix(1e9, 0), Jobs: 3,
	}
	file := mustExport(t, o)
	want := regtest.ReadFile(t, file.Output)
	if _, err := Verify(context.Background(), file.Output, trust, nil); err != nil {
		t.Error(err)
	}

	t.Run("stream", func(t *testing.T) {
		var out bytes.Buffer
		p := &watcher{t: t}
		o := o
		o.Output, o.Stream, o.Progress = transfer.StreamOutput, &out, p
		r := mustExport(t, o)
		if out.String() != want || r.Size != int64(out.Len()) {
			t.Error("the stream differs from the file")
		}
		p.complete("fetching")
	})
	t.Run("pipe", func(t *testing.T) {
		o := o
		o.Output = filepath.Join(t.TempDir(), "pipe")
		regtest.Fifo(t, o.Output)
		var got []byte
		var g errgroup.Group
		g.Go(func() (err error) {
			got, err = os.ReadFile(o.Output)
			return err
		})
		mustExport(t, o)
		if err := g.Wait(); err != nil || string(got) != want {
			t.Errorf("the pipe got %d bytes (%v), and they differ from the file", len(got), err)
		}
		if st, err := os.Lstat(o.Output); err != nil || st.Mode()&fs.ModeNamedPipe == 0 {
			t.Errorf("the pipe is gone: %v", err)
		}
	})
	t.Run("wrong content", func(t *testing.T) {
		pub.Inject(regtest.Fault{Class: regtest.Blob, Path: layerOf(t, pub, "acme/a:1", 1).Encoded(), Do: regtest.Corrupt(4 * mib)})
		defer pub.ClearFaults()
		var out bytes.Buffer
		o := o
		o.Output, o.Stream = transfer.StreamOutput, &out
		_, err := Export(context.Background(), o)
		wantError(t, err, fault.Failed, "content has the digest")
		if out.Len() >= len(want) {
			t.Error("a wrong bundle looks whole")
		}
	})
	t.Run("reader that goes away", func(t *testing.T) {
		o := o
		o.Output, o.Stream = transfer.StreamOutput, &closing{left: 3 * mib}
		_, err := Export(context.Background(), o)
		if !errors.Is(err, syscall.EPIPE) {
			t.Errorf("error is %v", err)
		}
	})
}

// closing is a stream whose reader goes away.
type closing struct{ left int }

func (c *closing) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		return 0, syscall.EPIPE
	}
	return len(p), nil
}

// partialSignature reads the signature that an interrupted export has left.
func partialSignature(t *testing.T, output string) []byte {
	t.Helper()
	r, file, err := layout.OpenPartial(output)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sig, err := r.ReadFile(layout.SignatureFile, mib)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}
