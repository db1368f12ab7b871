package bundle

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/transfer"
	"bundle/layout"
	"bundle/testdata/regtest"
)

// slowStream is a stream that takes nothing before begin returns.
type slowStream struct {
	begin func()
	size  int64
}

func (s *slowStream) Write(p []byte) (int, error) {
	if s.begin != nil {
		s.begin()
		s.begin = nil
	}
	s.size += int64(len(p))
	return len(p), nil
}

// What is fetched ahead of a slow reader is bounded, over all blobs: those that
// are there as a whole count as well.
func TestStreamIsNotFarAhead(t *testing.T) {
	pub := startRegistry(t)
	const layers = 40
	im := regtest.Image{Layers: []regtest.Layer{{Size: 2_000_000 / lower, Seed: 1}}}
	for i := range int64(layers) {
		im.Layers = append(im.Layers, regtest.Layer{Size: 1_000_000 / lower, Seed: 100 + i})
	}
	pushImage(t, pub, "acme/a:1", im)
	// The config, which is read before; then layers, and among them perhaps the
	// base, which is twice as large.
	most := int(1 + transfer.AheadBytes/(mib/lower))
	s := &slowStream{begin: func() {
		visit := func() {
			resp, err := http.Get(pub.URL() + "/v2/")
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close() // a visit is all it is
		}
		for range 10_000 {
			if pub.Log.Count("GET", regtest.Blob) >= most-2 {
				break
			}
			visit()
		}
		for range 300 { // time enough for more
			visit()
		}
		if n := pub.Log.Count("GET", regtest.Blob); n < most-2 || n > most {
			t.Errorf("%d blobs are asked for while nothing is taken, want %d at most, and 2 fewer at least, of %d", n, most, layers+2)
		}
	}}
	r := mustExport(t, ExportOptions{
		Images: []string{"acme/a:1"}, Unsigned: true, NoReferrers: []string{AllRegistries}, Jobs: 3,
		Output: transfer.StreamOutput, Stream: s, Registry: through(pub),
	})
	if s.size != r.Size {
		t.Errorf("the stream has %d bytes, the report says %d", s.size, r.Size)
	}
}

// Too little room is found out before anything is fetched or written, in a file
// and in a stream that goes to a file.
func TestNoRoom(t *testing.T) {
	pub := startRegistry(t)
	layer := pushLiar(t, pub, "acme/huge:1", 1<<60)
	for _, stream := range []bool{false, true} {
		dir := t.TempDir()
		o := ExportOptions{
			Images: []string{"acme/huge:1"}, Unsigned: true, Registry: through(pub), Output: filepath.Join(dir, "x.tar"),
		}
		if stream {
			f, err := os.Create(o.Output)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			o.Output, o.Stream = transfer.StreamOutput, f
		}
		_, err := Export(context.Background(), o)
		var space *layout.SpaceError
		if !errors.As(err, &space) || space.Needed < 1<<60 {
			t.Errorf("stream %v: error is %v, want a SpaceError", stream, err)
		}
		if n := len(fetched(pub)["/v2/acme/huge/blobs/"+layer.String()]); n > 0 {
			t.Errorf("stream %v: the layer was asked for", stream)
		}
		if !stream {
			regtest.WantFiles(t, dir)
		} else if st, err := os.Stat(filepath.Join(dir, "x.tar")); err != nil || st.Size() != 0 {
			t.Errorf("the stream got %d bytes (%v)", st.Size(), err)
		}
	}
}

// A device that is full is named with the entry that had no place.
func TestStreamToFullDevice(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/a:1", small(1))
	_, err := Export(context.Background(), ExportOptions{
		Images: []string{"acme/a:1"}, Unsigned: true, Registry: through(pub), Output: "/dev/full",
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error is %v, want ENOSPC", err)
	}
	wantError(t, err, fault.Failed, "/dev/full", layout.LayoutFile)
}
