package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

// A part of a blob comes as that part, also after a broken connection, and also
// from a registry that sends blobs only as a whole: it says so where asked to.
func TestBlobRange(t *testing.T) {
	reg := start(t, regtest.Options{})
	data, d := content(mib, 1)
	if _, err := reg.PushBlob(t.Context(), "r", data); err != nil {
		t.Fatal(err)
	}
	c := client(t, remote.Options{}, reg)
	whole := regtest.Fault{Class: regtest.Blob, Do: regtest.WithoutHeader("Range")}
	tests := []struct {
		name   string
		part   remote.BlobRange
		faults []regtest.Fault
		err    error
	}{
		{"middle", remote.BlobRange{From: 1000, To: 500_000}, nil, nil},
		{"begin", remote.BlobRange{To: 1}, nil, nil},
		{"end", remote.BlobRange{From: mib - 1, To: mib}, nil, nil},
		{"all", remote.BlobRange{To: mib}, nil, nil},
		{"nothing", remote.BlobRange{From: 7, To: 7}, nil, nil},
		{"strict", remote.BlobRange{From: 1000, To: 500_000, Strict: true}, nil, nil},
		{"reset", remote.BlobRange{From: 1000, To: 900_000, Strict: true}, []regtest.Fault{{Method: "GET", Times: 2, Do: regtest.Reset(300_000)}}, nil},
		{"without ranges", remote.BlobRange{From: 1000, To: 500_000}, []regtest.Fault{whole}, nil},
		{"without ranges, strict", remote.BlobRange{From: 1000, To: 500_000, Strict: true}, []regtest.Fault{whole}, remote.ErrNoRanges},
		{"without ranges, from the begin", remote.BlobRange{To: 500_000, Strict: true}, []regtest.Fault{whole}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reg.ClearFaults()
			for _, f := range tt.faults {
				reg.Inject(f)
			}
			got, err := pullRange(t.Context(), c, reg.Host()+"/r", d, tt.part)
			if !errors.Is(err, tt.err) || tt.err == nil && !bytes.Equal(got, data[tt.part.From:tt.part.To]) {
				t.Errorf("%d bytes, %v, want %v", len(got), err, tt.err)
			}
		})
	}
	for _, part := range []remote.BlobRange{{From: -1, To: 1}, {From: 2, To: 1}, {To: mib + 1}} {
		_, err := pullRange(t.Context(), c, reg.Host()+"/r", d, part)
		wantError(t, err, remote.Protocol)
	}
}

func pullRange(ctx context.Context, c *remote.Client, repo string, d ocispec.Descriptor, part remote.BlobRange) ([]byte, error) {
	rc, err := c.BlobRange(ctx, repo, d, part)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(rc)
}

// A connection that lets through a byte now and then counts as silent.
func TestDrip(t *testing.T) {
	t.Parallel()
	reg := start(t, regtest.Options{})
	data, d := content(mib, 1)
	if _, err := reg.PushBlob(t.Context(), "r", data); err != nil {
		t.Fatal(err)
	}
	retry := fast
	retry.Stall = quiet
	c := client(t, remote.Options{Retry: retry}, reg)
	drip := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := range 1000 {
			_, _ = w.Write(data[i : i+1])
			_ = http.NewResponseController(w).Flush()
			<-tick.C
			if r.Context().Err() != nil {
				return
			}
		}
		t.Error("1000 bytes dripped, and nobody minded")
	}
	reg.Inject(regtest.Fault{Method: "GET", Class: regtest.Blob, Times: 1, Do: silenced(c).during(drip)})
	if got, err := pull(t.Context(), c, reg.Host()+"/r", d); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A blob in chunks: each request within the limit, the source opened once, and
// after a broken chunk the rest goes on.
func TestPushChunks(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			reg := kind.start(t)
			c := client(t, remote.Options{Credentials: map[string]remote.Credential{reg.Host(): {Username: "u", Password: "hunter2"}}}, reg)
			for seed, fault := range []*regtest.Fault{nil, {Method: "PATCH", Skip: 1, Times: 1, Do: regtest.ResetUpload(1000)}} {
				reg.ClearFaults()
				reg.Log.Reset()
				if fault != nil {
					reg.Inject(*fault)
				}
				data, d := content(mib, uint64(10+seed))
				src := source(data)
				opened := 0
				open := src.Open
				src.Open = func() (io.ReadCloser, error) { opened++; return open() }
				src.Chunk, src.Missing = 300_000, true
				if _, err := c.PushBlob(t.Context(), reg.Host()+"/r", d, src); err != nil {
					t.Fatal(err)
				}
				got, err := reg.Blob(t.Context(), "r", d.Digest)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("registry has %d bytes, error %v", len(got), err)
				}
				if fault == nil && (opened != 1 || reg.Log.Count("PATCH", "") != 4) {
					t.Errorf("source opened %d times, %d chunks", opened, reg.Log.Count("PATCH", ""))
				}
				if n := reg.Log.Count("HEAD", regtest.Blob); fault == nil && n != 1 {
					t.Errorf("asked %d times for a blob that is known to be missing, want once when it is sent", n)
				}
			}
		})
	}
}
