package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

func isMount(r *http.Request) bool { return r.URL.Query().Has("mount") }

func isRange(r *http.Request) bool { return r.Header.Get("Range") != "" }

const mib = 1 << 20

// A pull of 4 MiB under faults: either every byte arrives, or a clear error.
func TestPullFaults(t *testing.T) {
	t.Parallel()
	reg := start(t, regtest.Options{})
	data, d := content(4*mib, 1)
	if _, err := reg.PushBlob(t.Context(), "r", data); err != nil {
		t.Fatal(err)
	}
	fault := func(times int, do regtest.Injector) regtest.Fault {
		return regtest.Fault{Method: "GET", Class: regtest.Blob, Times: times, Do: do}
	}
	tests := []struct {
		name     string
		faults   []regtest.Fault
		requests int         // of blobs, when all went well
		kind     remote.Kind // otherwise
		status   int
	}{
		{name: "none", requests: 1},
		{name: "reset before the answer", faults: []regtest.Fault{fault(2, regtest.Refuse())}, requests: 3},
		{name: "reset in the body", faults: []regtest.Fault{fault(1, regtest.Reset(mib))}, requests: 2},
		// 20 breaks, each after progress: more than there are attempts without it.
		{name: "many resets with progress", faults: []regtest.Fault{fault(20, regtest.Reset(mib/8))}, requests: 21},
		{name: "resets without progress", faults: []regtest.Fault{fault(0, regtest.Reset(100))}, kind: remote.Unreachable},
		{name: "503 burst", faults: []regtest.Fault{fault(3, regtest.Status(503))}, requests: 4},
		{name: "503 for ever", faults: []regtest.Fault{fault(0, regtest.Status(503))}, kind: remote.Unreachable, status: 503},
		{name: "501", faults: []regtest.Fault{fault(1, regtest.Status(501))}, kind: remote.Protocol, status: 501},
		{name: "429 with Retry-After", faults: []regtest.Fault{fault(2, regtest.Status(429, "Retry-After", "0"))}, requests: 3},
		{name: "429 for hours", faults: []regtest.Fault{fault(1, regtest.Status(429, "Retry-After", "21600"))}, kind: remote.RateLimited, status: 429},
		{name: "408", faults: []regtest.Fault{fault(1, regtest.Status(408))}, requests: 2},
		{name: "403", faults: []regtest.Fault{fault(1, regtest.Status(403))}, kind: remote.Denied, status: 403},
		{name: "400", faults: []regtest.Fault{fault(1, regtest.Status(400))}, kind: remote.Protocol, status: 400},
		{name: "body too short from the start", faults: []regtest.Fault{fault(1, regtest.Truncate(mib))}, kind: remote.Protocol},
		{name: "short chunked body", faults: []regtest.Fault{fault(1, chunked(mib))}, requests: 2},
		{name: "body too long", faults: []regtest.Fault{fault(1, regtest.Endless("application/octet-stream"))}, kind: remote.Protocol},
		{name: "registry without ranges", faults: []regtest.Fault{
			fault(1, regtest.Reset(mib)), {Class: regtest.Blob, Match: isRange, Do: regtest.WithoutHeader("Range")},
		}, requests: 2},
		{name: "wrong range", faults: []regtest.Fault{
			fault(1, regtest.Reset(mib)), fault(1, regtest.Header("Content-Range", "bytes 0-4194303/4194304")),
		}, kind: remote.Protocol},
		{name: "reset, then gone", faults: []regtest.Fault{
			fault(1, regtest.Reset(mib)), fault(1, regtest.Status(404)),
		}, kind: remote.NotFound, status: 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, remote.Options{}, reg)
			reg.ClearFaults()
			reg.Log.Reset()
			for _, f := range tt.faults {
				reg.Inject(f)
			}
			got, err := pull(t.Context(), c, reg.Host()+"/r", d)
			if tt.requests == 0 {
				e := wantError(t, err, tt.kind)
				if e.Status != tt.status {
					t.Errorf("status %d, want %d", e.Status, tt.status)
				}
				return
			}
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, error %v", len(got), err)
			}
			if n := reg.Log.Count("GET", regtest.Blob); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}

// chunked sends n bytes without a Content-Length and ends the body properly.
func chunked(n int64) regtest.Injector {
	truncate := regtest.Truncate(n)
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		truncate(noLength{w}, r, next)
	}
}

type noLength struct{ http.ResponseWriter }

func (w noLength) WriteHeader(status int) {
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
}

func (w noLength) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Wrong bytes of the right length are the caller's to find; for a manifest they
// are found here.
func TestWrongBytes(t *testing.T) {
	reg := start(t, regtest.Options{})
	data, d := content(1000, 1)
	if _, err := reg.PushBlob(t.Context(), "r", data); err != nil {
		t.Fatal(err)
	}
	desc, err := reg.PushImage(t.Context(), "r:1", regtest.Image{})
	if err != nil {
		t.Fatal(err)
	}
	reg.Inject(regtest.Fault{Method: "GET", Do: regtest.Corrupt(40)})
	c := client(t, remote.Options{}, reg)
	got, err := pull(t.Context(), c, reg.Host()+"/r", d)
	if err != nil || bytes.Equal(got, data) || len(got) != len(data) {
		t.Errorf("blob: %d bytes, error %v", len(got), err)
	}
	for _, ref := range []string{":1", "@" + desc.Digest.String()} {
		_, _, err = c.Resolve(t.Context(), reg.Host()+"/r"+ref)
		wantError(t, err, remote.Protocol)
	}
	_, err = c.Manifest(t.Context(), reg.Host()+"/r", desc)
	wantError(t, err, remote.Protocol)
}

// A push of 256 KiB under faults, to a registry that can resume (distribution 3),
// to one that cannot after a cut (2.8), and to one that knows no upload status.
func TestPushFaults(t *testing.T) {
	t.Parallel()
	const size = mib / 4
	put := func(times int, do regtest.Injector) regtest.Fault {
		return regtest.Fault{Method: "PUT", Class: regtest.Upload, Times: times, Do: do}
	}
	tests := []struct {
		name   string
		faults []regtest.Fault
		kind   remote.Kind
		fails  bool
	}{
		{name: "none"},
		{name: "HEAD not allowed", faults: []regtest.Fault{{Method: "HEAD", Times: 1, Do: regtest.Status(405)}}},
		{name: "503 at HEAD", faults: []regtest.Fault{{Method: "HEAD", Times: 2, Do: regtest.Status(503)}}},
		{name: "503 at POST", faults: []regtest.Fault{{Method: "POST", Times: 3, Do: regtest.Status(503)}}},
		{name: "reset at POST", faults: []regtest.Fault{{Method: "POST", Times: 1, Do: regtest.Refuse()}}},
		{name: "503 at PUT", faults: []regtest.Fault{put(2, regtest.Status(503))}},
		{name: "429 at PUT", faults: []regtest.Fault{put(1, regtest.Status(429, "Retry-After", "0"))}},
		{name: "reset in PUT", faults: []regtest.Fault{put(1, regtest.ResetUpload(size/4))}},
		{name: "resets in PUT and PATCH", faults: []regtest.Fault{
			put(1, regtest.ResetUpload(size/4)), {Method: "PATCH", Times: 1, Do: regtest.ResetUpload(size / 4)},
		}},
		{name: "answer lost", faults: []regtest.Fault{put(1, regtest.LoseAnswer())}},
		{name: "answer of the last PUT lost", faults: []regtest.Fault{
			put(1, regtest.ResetUpload(size/4)), put(1, regtest.LoseAnswer()),
		}},
		{name: "token expired", faults: []regtest.Fault{put(1, regtest.WithoutHeader("Authorization"))}},
		{name: "status unknown", faults: []regtest.Fault{
			put(1, regtest.ResetUpload(size/4)), {Method: "GET", Class: regtest.Upload, Do: regtest.Status(404)},
		}},
		{name: "status without range", faults: []regtest.Fault{
			put(1, regtest.ResetUpload(size/4)), {Method: "GET", Class: regtest.Upload, Do: regtest.Header("Range", "")},
		}},
		{name: "resumed too early", faults: []regtest.Fault{
			put(1, regtest.ResetUpload(size/4)), {Method: "PATCH", Times: 1, Do: regtest.Status(416)},
		}},
		{name: "resuming refused", faults: []regtest.Fault{
			put(1, regtest.ResetUpload(size/4)), {Method: "PATCH", Do: regtest.Status(416)},
		}},
		{name: "503 for ever", faults: []regtest.Fault{put(0, regtest.Status(503))}, fails: true, kind: remote.Unreachable},
		{name: "resets for ever", faults: []regtest.Fault{put(0, regtest.ResetUpload(size/4))}, fails: true, kind: remote.Unreachable},
		{name: "413", faults: []regtest.Fault{put(0, regtest.Status(413))}, fails: true, kind: remote.Protocol},
		{name: "403", faults: []regtest.Fault{{Method: "POST", Do: regtest.Status(403)}}, fails: true, kind: remote.Denied},
		{name: "stored as something else", faults: []regtest.Fault{
			put(1, regtest.Header("Docker-Content-Digest", "sha256:0000000000000000000000000000000000000000000000000000000000000000")),
		}, fails: true, kind: remote.Protocol},
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			reg := kind.start(t)
			for i, tt := range tests {
				if tt.name == "resets for ever" && kind.name != "docker-registry 2.8+tls+basic" {
					continue // they come with progress where uploads resume
				}
				t.Run(tt.name, func(t *testing.T) {
					c := client(t, remote.Options{Credentials: map[string]remote.Credential{reg.Host(): {Username: "u", Password: "hunter2"}}}, reg)
					reg.ClearFaults()
					for _, f := range tt.faults {
						reg.Inject(f)
					}
					data, d := content(size, uint64(i))
					checkPush(t, c, reg, data, d, tt.fails, tt.kind)
				})
			}
		})
	}
}

func checkPush(t *testing.T, c *remote.Client, reg *regtest.Registry, data []byte, d ocispec.Descriptor, fails bool, kind remote.Kind) {
	t.Helper()
	src := source(data)
	var moved int64
	src.Progress = func(n int64) {
		moved += n
		if moved < 0 || moved > d.Size {
			t.Errorf("progress is %d of %d", moved, d.Size)
		}
	}
	res, err := c.PushBlob(t.Context(), reg.Host()+"/r", d, src)
	if fails {
		wantError(t, err, kind)
		return
	}
	if err != nil || res.Existed || res.Mounted || res.Sent < d.Size || moved != d.Size {
		t.Errorf("push: %+v, progress %d, error %v", res, moved, err)
	}
	got, err := reg.Blob(t.Context(), "r", d.Digest)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("registry has %d bytes, error %v", len(got), err)
	}
}

// After a cut, distribution 3 gets only what it lacks.
func TestPushResumes(t *testing.T) {
	t.Parallel()
	reg := start(t, regtest.Options{Dir: t.TempDir()})
	c := client(t, remote.Options{}, reg)
	data, d := content(16*mib, 1)
	reg.Inject(regtest.Fault{Method: "PUT", Times: 1, Do: regtest.ResetUpload(12 * mib)})
	res, err := c.PushBlob(t.Context(), reg.Host()+"/r", d, source(data))
	if err != nil {
		t.Fatal(err)
	}
	// The first attempt may have filled buffers on the way beyond the cut.
	if res.Sent >= 2*d.Size-4*mib {
		t.Errorf("sent %d bytes for a blob of %d", res.Sent, d.Size)
	}
	if posts, patches := reg.Log.Count("POST", ""), reg.Log.Count("PATCH", ""); posts != 1 || patches != 1 {
		t.Errorf("%d POST and %d PATCH, want one of each", posts, patches)
	}
}

// What is sent and thrown away is no progress: the attempts come to an end.
func TestPushWithoutProgress(t *testing.T) {
	t.Parallel()
	reg := start(t, regtest.Options{Dir: t.TempDir()})
	c := client(t, remote.Options{}, reg)
	data, d := content(4*mib, 1)
	swallow := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, mib) // whatever comes, the connection is cut
		panic(http.ErrAbortHandler)
	}
	reg.Inject(regtest.Fault{Method: "PUT", Class: regtest.Upload, Times: 1, Do: regtest.ResetUpload(mib)})
	reg.Inject(regtest.Fault{Method: "PATCH", Class: regtest.Upload, Do: swallow})
	_, err := c.PushBlob(t.Context(), reg.Host()+"/r", d, source(data))
	if e := wantError(t, err, remote.Unreachable); e.Attempts > 20 {
		t.Errorf("gave up after %d attempts", e.Attempts)
	}
}

// What the source says ends the push at once, reaches the caller, and leaves no
// blob behind.
func TestPushSource(t *testing.T) {
	t.Parallel()
	reg := start(t, regtest.Options{})
	c := client(t, remote.Options{}, reg)
	data, d := content(mib, 1)
	errDamaged := errors.New("damaged")
	tests := []struct {
		name string
		open func() (io.ReadCloser, error)
		want error
	}{
		{"open fails", func() (io.ReadCloser, error) { return nil, errDamaged }, errDamaged},
		{"read fails in the middle", func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(data[:mib/2]), failing{errDamaged})), nil
		}, errDamaged},
		{"read fails at the end", func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(data), failing{errDamaged})), nil
		}, errDamaged},
		{"too short", func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data[1:])), nil }, io.ErrUnexpectedEOF},
		{"too long", func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(append(bytes.Clone(data), 0))), nil
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reg.Log.Reset()
			_, err := c.PushBlob(t.Context(), reg.Host()+"/r", d, remote.BlobSource{Open: tt.open})
			e := wantError(t, err, remote.Other)
			if e.Attempts != 1 || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("after %d attempts: %v, want %v", e.Attempts, err, tt.want)
			}
			if has, err := reg.HasBlob(t.Context(), "r", d.Digest); has || err != nil {
				t.Errorf("the registry has the blob: %v, %v", has, err)
			}
		})
	}
	// Content of the right length that is not the blob is refused by the registry.
	_, other := content(mib, 2)
	_, err := c.PushBlob(t.Context(), reg.Host()+"/r", other, source(data))
	wantError(t, err, remote.Protocol)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// mute does not answer for as long as somebody waits: that the client goes away
// is what ends it.
func mute(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// Silence counts as a broken connection, in both directions, and before the
// answer as well.
func TestStall(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", http2), func(t *testing.T) {
			t.Parallel()
			reg := start(t, regtest.Options{Dir: t.TempDir(), TLS: true, HTTP2: http2})
			retry := fast
			retry.Stall = quiet
			c := client(t, remote.Options{Retry: retry}, reg)
			clock := silenced(c)
			data, d := content(16*mib, 1) // more than sockets hold by themselves

			reg.Inject(regtest.Fault{Method: "PUT", Class: regtest.Upload, Times: 1, Do: clock.during(regtest.StallUpload(mib))})
			if _, err := c.PushBlob(t.Context(), reg.Host()+"/r", d, source(data)); err != nil {
				t.Error(err)
			}
			reg.Inject(regtest.Fault{Method: "GET", Class: regtest.Blob, Times: 1, Do: clock.during(regtest.Stall(mib))})
			if got, err := pull(t.Context(), c, reg.Host()+"/r", d); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			reg.Inject(regtest.Fault{Method: "GET", Class: regtest.Blob, Times: 1, Do: clock.during(mute)})
			if got, err := pull(t.Context(), c, reg.Host()+"/r", d); err != nil || !bytes.Equal(got, data) {
				t.Errorf("after no answer: %d bytes, %v", len(got), err)
			}
			retry.Attempts = 1
			c = client(t, remote.Options{Retry: retry}, reg)
			clock = silenced(c)
			reg.Inject(regtest.Fault{Method: "GET", Class: regtest.Blob, Do: clock.during(regtest.Stall(0))})
			_, err := pull(t.Context(), c, reg.Host()+"/r", d)
			wantError(t, err, remote.Unreachable)
		})
	}
}

// A cancelled context ends whatever is under way, and is what the error says.
func TestCancel(t *testing.T) {
	reg := start(t, regtest.Options{})
	data, d := content(4*mib, 1)
	if _, err := reg.PushBlob(t.Context(), "r", data); err != nil {
		t.Fatal(err)
	}
	patient := remote.Retry{MinWait: time.Hour, MaxWait: time.Hour, Stall: time.Hour}
	tests := []struct {
		name  string
		fault regtest.Fault
		run   func(context.Context, *remote.Client) error
	}{
		{"silent download", regtest.Fault{Method: "GET", Do: regtest.Stall(mib)}, func(ctx context.Context, c *remote.Client) error {
			_, err := pull(ctx, c, reg.Host()+"/r", d)
			return err
		}},
		{"no answer", regtest.Fault{Method: "GET", Do: regtest.Stall(0)}, func(ctx context.Context, c *remote.Client) error {
			_, _, err := c.Resolve(ctx, reg.Host()+"/r:1")
			return err
		}},
		{"pause between attempts", regtest.Fault{Do: regtest.Status(503)}, func(ctx context.Context, c *remote.Client) error {
			return c.Preflight(ctx, reg.Host()+"/r")
		}},
		{"silent upload", regtest.Fault{Method: "PUT", Do: regtest.StallUpload(mib)}, func(ctx context.Context, c *remote.Client) error {
			_, err := c.PushBlob(ctx, reg.Host()+"/other", d, source(data))
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, remote.Options{Retry: patient}, reg)
			reg.ClearFaults()
			ctx, cancel := context.WithCancel(t.Context())
			struck := make(chan struct{})
			do := tt.fault.Do
			tt.fault.Times = 1
			tt.fault.Do = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				defer do(w, r, next)
				close(struck)
			}
			reg.Inject(tt.fault)
			go func() {
				<-struck
				cancel()
			}()
			err := tt.run(ctx, c)
			wantError(t, err, remote.Other)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// Many pushes and pulls through one client, with a third of all answers failing.
func TestConcurrent(t *testing.T) {
	reg := start(t, regtest.Options{TLS: true, HTTP2: true, Token: true, Username: "u", Password: "hunter2"})
	retry := fast
	retry.Attempts = 20
	c := client(t, remote.Options{
		Retry: retry, Credentials: map[string]remote.Credential{reg.Host(): {Username: "u", Password: "hunter2"}},
	}, reg)
	reg.Inject(regtest.Fault{Skip: 10, Times: 1, Do: regtest.Status(503)})
	for i := range 40 {
		reg.Inject(regtest.Fault{Skip: 3 * i, Times: 1, Do: regtest.Status(503)})
		reg.Inject(regtest.Fault{Method: "GET", Skip: i, Times: 1, Do: regtest.Reset(1000)})
	}
	g, ctx := errgroup.WithContext(t.Context())
	for i := range 16 {
		g.Go(func() error {
			repo := fmt.Sprintf("%s/r%d", reg.Host(), i%3)
			data, d := content(200_000, uint64(i))
			if _, err := c.PushBlob(ctx, repo, d, source(data)); err != nil {
				return err
			}
			got, err := pull(ctx, c, repo, d)
			if err == nil && !bytes.Equal(got, data) {
				err = errors.New("wrong bytes")
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
