package remote_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

// piece gives a blob from an offset on, and no byte behind end.
func piece(t *testing.T, data []byte, end int64) remote.BlobSource {
	return remote.BlobSource{OpenAt: func(at int64) (io.ReadCloser, error) {
		if at > end {
			t.Errorf("opened at %d of %d", at, end)
		}
		return io.NopCloser(bytes.NewReader(data[at:end])), nil
	}}
}

// A blob whose pieces are never there together arrives, also in chunks, and also where
// a connection breaks in between: some registries cannot go on then, and it begins
// anew.
func TestHoldUpload(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			reg := kind.start(t)
			c := client(t, remote.Options{Retry: fast, Credentials: map[string]remote.Credential{reg.Host(): {Username: "u", Password: "hunter2"}}}, reg)
			for seed, tt := range []struct {
				fault *regtest.Fault
				chunk int64
			}{
				{nil, 0},
				{nil, 100_000},
				{&regtest.Fault{Method: "PATCH", Skip: 1, Times: 1, Do: regtest.ResetUpload(1000)}, 0},
				{&regtest.Fault{Method: "PUT", Class: regtest.Upload, Times: 1, Do: regtest.Status(http.StatusServiceUnavailable)}, 0},
			} {
				reg.ClearFaults()
				if tt.fault != nil {
					reg.Inject(*tt.fault)
				}
				data, d := content(mib, uint64(70+seed))
				h, err := c.HoldUpload(reg.Host()+"/held", d)
				if err != nil {
					t.Fatal(err)
				}
				var told int64
				ends, lost := []int64{300_000, 700_000, mib}, false
				for i := 0; i < len(ends); i++ {
					src := piece(t, data, ends[i])
					src.Chunk, src.Progress = tt.chunk, func(n int64) { told += n }
					_, err := h.Send(t.Context(), ends[i], src)
					if errors.Is(err, remote.ErrUploadLost) && tt.fault != nil && !lost && h.Offset() == 0 && told == 0 {
						i, lost = -1, true
						continue
					}
					if err != nil || h.Offset() != ends[i] || told != ends[i] {
						t.Fatalf("up to %d: at %d, told %d, %v", ends[i], h.Offset(), told, err)
					}
				}
				if got, err := pull(t.Context(), c, reg.Host()+"/held", d); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			}
		})
	}
}

// A registry that has forgotten the upload is told from one that fails: the blob
// begins anew.
func TestHoldUploadLost(t *testing.T) {
	t.Parallel()
	reg := start(t, regtest.Options{})
	c := client(t, remote.Options{Retry: fast}, reg)
	data, d := content(mib, 80)
	h, err := c.HoldUpload(reg.Host()+"/lost", d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Send(t.Context(), 300_000, piece(t, data, 300_000)); err != nil {
		t.Fatal(err)
	}
	reg.Inject(regtest.Fault{Method: "PATCH", Times: 1, Do: regtest.Status(http.StatusNotFound)})
	if _, err := h.Send(t.Context(), 700_000, piece(t, data, 700_000)); !errors.Is(err, remote.ErrUploadLost) || h.Offset() != 0 {
		t.Fatalf("at %d, %v", h.Offset(), err)
	}
	for _, end := range []int64{300_000, mib} {
		if _, err := h.Send(t.Context(), end, piece(t, data, end)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := pull(t.Context(), c, reg.Host()+"/lost", d); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Content that is not what its digest says never becomes a blob, and a source that
// fails is named once.
func TestHoldUploadWrong(t *testing.T) {
	reg := start(t, regtest.Options{})
	c := client(t, remote.Options{Retry: fast}, reg)
	data, d := content(mib, 81)
	h, err := c.HoldUpload(reg.Host()+"/wrong", d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Send(t.Context(), 300_000, piece(t, data, 300_000)); err != nil {
		t.Fatal(err)
	}
	bad := errors.New("unreadable")
	_, err = h.Send(t.Context(), mib, remote.BlobSource{OpenAt: func(int64) (io.ReadCloser, error) { return nil, bad }})
	if !errors.Is(err, bad) {
		t.Errorf("error is %v", err)
	}
	if _, err := h.Send(t.Context(), mib, piece(t, data, mib)); err != nil {
		t.Errorf("another source: %v", err)
	}
}
