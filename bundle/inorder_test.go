//go:build unix

package bundle

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"bundle/bundle/internal/fault"
	"bundle/testdata/regtest"
)

// many exports six layers that together are larger than the window.
func many(t *testing.T, pub *regtest.Registry) ExportOptions {
	t.Helper()
	pushImage(t, pub, "acme/a:1", large(1, 14*mib/lower, 14*mib/lower, 14*mib/lower))
	pushImage(t, pub, "acme/b:1", large(2, 40*mib/lower, 3*mib/lower, 14*mib/lower))
	return ExportOptions{
		Images: []string{"acme/a:1", "acme/b:1"}, Unsigned: true, Created: time.Unix(1e9, 0), Registry: through(pub),
		Output: filepath.Join(t.TempDir(), "x.tar"),
	}
}

// A file that grows in order becomes the same file, and is never written much
// further than what is complete of it.
func TestExportInOrder(t *testing.T) {
	t.Parallel()
	pub := startRegistry(t)
	o := many(t, pub)
	want := regtest.ReadFile(t, mustExport(t, o).Output)
	o.Output, o.InOrder = filepath.Join(t.TempDir(), "y.tar"), true

	const most = 32 * mib / lower
	// What a request begins to fetch lies at most so far behind what is there.
	var mu sync.Mutex
	var requests int
	pub.Inject(regtest.Fault{Method: "GET", Class: regtest.Blob, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		requests++
		if info, err := os.Stat(o.Output + ".partial"); err == nil && info.Size() > most {
			holes := info.Size() - info.Sys().(*syscall.Stat_t).Blocks*512
			if holes > most {
				t.Errorf("the file of %d bytes has holes of %d", info.Size(), holes)
			}
		}
		mu.Unlock()
		next.ServeHTTP(w, r)
	}})
	if regtest.ReadFile(t, mustExport(t, o).Output) != want {
		t.Error("the bundle differs")
	}
	if requests == 0 {
		t.Error("nothing was fetched")
	}
}

// A blob that cannot be had ends a run in which others wait for their turn; the
// next run goes on by Range.
func TestExportInOrderGoesOn(t *testing.T) {
	t.Parallel()
	pub := startRegistry(t)
	o := many(t, pub)
	o.InOrder = true
	cut := layerOf(t, pub, "acme/b:1", 1)
	var once sync.Once
	r := interrupted(t, pub, o, regtest.Fault{
		Method: "GET", Path: cut.Encoded(), Do: func(w http.ResponseWriter, q *http.Request, next http.Handler) {
			do := regtest.Status(404)
			once.Do(func() { do = regtest.Stall(30 * mib / lower) })
			do(w, q, next)
		},
	}, nil)
	if ranges := fetched(pub)["/v2/acme/b/blobs/"+cut.String()]; len(ranges) != 1 || ranges[0] == "" {
		t.Errorf("the layer that was cut was asked for with ranges %q", ranges)
	}
	if r.Resumed < 20*mib/lower {
		t.Errorf("resumed %d bytes", r.Resumed)
	}
	o.InOrder = false
	same(t, o, r)
}

// One who waits for room in the window ends with the context, too.
func TestExportInOrderCancelled(t *testing.T) {
	t.Parallel()
	pub := startRegistry(t)
	o := many(t, pub)
	o.InOrder = true
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cut := layerOf(t, pub, "acme/b:1", 1).Encoded()
	pub.Inject(regtest.Fault{Method: "GET", Path: cut, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		cancel()
		regtest.Stall(mib/lower)(w, r, next)
	}})
	_, err := Export(ctx, o)
	wantError(t, err, fault.Interrupted)
}
