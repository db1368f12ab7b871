package remote_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

// says answers with a code of the specification.
func says(status int, code string) regtest.Injector {
	return regtest.Answer(status, "application/json", fmt.Sprintf(`{"errors":[{"code":%q,"message":"injected"}]}`, code))
}

// butSays lets the registry do its work, and answers something else.
func butSays(answer regtest.Injector) regtest.Injector {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		answer(w, r, next)
	}
}

// storesWithLastPart is ECR: the blob is complete with its last part, which is
// answered with 201, and the PUT that ends the upload is refused.
func storesWithLastPart(size int64, digest string, header ...string) regtest.Injector {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		last := strings.HasSuffix(r.Header.Get("Content-Range"), fmt.Sprintf("-%d", size-1))
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		if !last {
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(rec.Code)
			return
		}
		end := httptest.NewRequest(http.MethodPut, rec.Header().Get("Location")+"&digest="+digest, nil)
		end.Host = r.Host
		next.ServeHTTP(httptest.NewRecorder(), end)
		regtest.Answer(http.StatusCreated, "text/plain", "", header...)(w, r, next)
	}
}

func once(f regtest.Fault) regtest.Fault {
	f.Times = 1
	return f
}

// Refusals that come from lost sessions and replicas are looked into, and the blob
// is sent anew at most once.
func TestPushPassingRefusals(t *testing.T) {
	t.Parallel()
	const size = mib
	put := func(times int, do regtest.Injector) regtest.Fault {
		return regtest.Fault{Method: "PUT", Class: regtest.Upload, Times: times, Do: do}
	}
	patch := func(times int, do regtest.Injector) regtest.Fault {
		return regtest.Fault{Method: "PATCH", Class: regtest.Upload, Times: times, Do: do}
	}
	data, d := content(size, 1)
	lost := says(404, "BLOB_UPLOAD_UNKNOWN")
	for _, tt := range []struct {
		name   string
		chunk  int64
		faults []regtest.Fault
		posts  int
		kind   remote.Kind // Other: success
	}{
		{name: "session lost", faults: []regtest.Fault{put(1, lost)}, posts: 2},
		{name: "session lost for ever", faults: []regtest.Fault{put(0, lost)}, posts: 2, kind: remote.NotFound},
		{name: "session lost, blob stored", faults: []regtest.Fault{put(1, butSays(lost))}, posts: 1},
		{name: "session lost in the middle", chunk: size / 4, faults: []regtest.Fault{{Method: "PATCH", Class: regtest.Upload, Skip: 1, Times: 1, Do: lost}}, posts: 2},
		{name: "upload invalid", faults: []regtest.Fault{put(1, says(400, "BLOB_UPLOAD_INVALID"))}, posts: 2},
		{name: "upload gone", faults: []regtest.Fault{put(1, regtest.Status(410))}, posts: 2},
		{name: "200", faults: []regtest.Fault{put(1, butSays(regtest.Status(200)))}, posts: 1},
		{name: "202", faults: []regtest.Fault{put(1, butSays(regtest.Status(202)))}, posts: 1},
		{name: "202, not stored", faults: []regtest.Fault{put(1, regtest.Status(202))}, posts: 2},
		{name: "202, never stored", faults: []regtest.Fault{put(0, regtest.Status(202))}, posts: 2, kind: remote.Protocol},
		{name: "201, not stored", faults: []regtest.Fault{once(regtest.Forget(regtest.Upload))}, posts: 2},
		{name: "201, never stored", faults: []regtest.Fault{regtest.Forget(regtest.Upload)}, posts: 2, kind: remote.Protocol},
		{name: "201, and seen later", faults: []regtest.Fault{{Method: "HEAD", Skip: 1, Times: 3, Do: regtest.Status(404)}}, posts: 1},
		{name: "201, and no answer to whether it is there", faults: []regtest.Fault{{Method: "HEAD", Skip: 1, Do: regtest.Status(401)}}, posts: 1},
		{name: "stored with the last part", chunk: size / 4, faults: []regtest.Fault{
			patch(0, storesWithLastPart(size, d.Digest.String())), put(0, says(404, "BLOB_UPLOAD_UNKNOWN")),
		}, posts: 1},
		{name: "stored with the last part, which has a location", chunk: size / 4, faults: []regtest.Fault{
			patch(0, storesWithLastPart(size, d.Digest.String(), "Location", "/v2/r/blobs/"+d.Digest.String())), put(0, regtest.Status(400)),
		}, posts: 1},
		{name: "questions refused", faults: []regtest.Fault{{Method: "HEAD", Do: regtest.Status(403)}, {Method: "GET", Class: regtest.Blob, Do: regtest.Status(403)}}, posts: 1},
		{name: "HEAD refused by a proxy", faults: []regtest.Fault{{Method: "HEAD", Do: regtest.Status(400)}}, posts: 1},
		{name: "may not", faults: []regtest.Fault{put(0, says(403, "DENIED"))}, posts: 1, kind: remote.Denied},
		{name: "too large", faults: []regtest.Fault{put(0, regtest.Status(413))}, posts: 1, kind: remote.Protocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // a server that has not read a body waits before it closes
			reg := start(t, regtest.Options{})
			for _, f := range tt.faults {
				reg.Inject(f)
			}
			src := source(data)
			src.Chunk = tt.chunk
			c := client(t, remote.Options{}, reg)
			_, err := c.PushBlob(t.Context(), reg.Host()+"/r", d, src)
			if tt.kind != remote.Other {
				wantError(t, err, tt.kind)
			} else if err != nil {
				t.Error(err)
			} else if got, err := reg.Blob(t.Context(), "r", d.Digest); err != nil || !bytes.Equal(got, data) {
				t.Errorf("registry has %d bytes, %v", len(got), err)
			}
			if n := reg.Log.Count("POST", ""); n != tt.posts {
				t.Errorf("%d uploads were begun, want %d", n, tt.posts)
			}
		})
	}
}

// Parts are as large as the registry demands, though the user wants smaller ones.
func TestPushMinimalChunk(t *testing.T) {
	reg := start(t, regtest.Options{})
	reg.Inject(regtest.Fault{Method: "POST", Do: regtest.Header("OCI-Chunk-Min-Length", fmt.Sprint(mib/2))})
	var sizes []int64
	reg.Inject(regtest.Fault{Method: "PATCH", Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		sizes = append(sizes, r.ContentLength)
		next.ServeHTTP(w, r)
	}})
	c := client(t, remote.Options{}, reg)
	for _, tt := range []struct {
		size, chunk int64
		want        []int64
	}{
		{mib + 100, mib / 4, []int64{mib / 2, mib / 2, 100}},
		{2 * mib, mib, []int64{mib, mib}},
		{mib / 2, mib / 4, nil}, // one request
		{mib, 0, nil},
	} {
		sizes = nil
		data, d := content(int(tt.size), uint64(tt.size))
		src := source(data)
		src.Chunk = tt.chunk
		if _, err := c.PushBlob(t.Context(), reg.Host()+"/r", d, src); err != nil {
			t.Error(err)
		}
		if !slices.Equal(sizes, tt.want) {
			t.Errorf("%d bytes in chunks of %d: sent %d, want %d", tt.size, tt.chunk, sizes, tt.want)
		}
	}
}

// A manifest counts as pushed when the registry has it, whatever it says.
func TestPushManifestPassingRefusals(t *testing.T) {
	put := func(times int, do regtest.Injector) regtest.Fault {
		return regtest.Fault{Method: "PUT", Class: regtest.Manifest, Times: times, Do: do}
	}
	other := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Docker-Content-Digest", digest.FromString("other").String())
	}
	for _, tt := range []struct {
		name     string
		faults   []regtest.Fault
		kind     remote.Kind // Other: success
		unlisted bool        // what is attached is refused
	}{
		{name: "200", faults: []regtest.Fault{put(0, butSays(regtest.Status(200)))}},
		{name: "202", faults: []regtest.Fault{put(0, butSays(regtest.Status(202)))}},
		{name: "204", faults: []regtest.Fault{put(0, butSays(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(204) }))}},
		{name: "202, and stored later", faults: []regtest.Fault{put(2, regtest.Status(202))}},
		{name: "202, never stored", faults: []regtest.Fault{put(0, regtest.Status(202))}, kind: remote.Protocol},
		{name: "201, not stored", faults: []regtest.Fault{regtest.Forget(regtest.Manifest)}, kind: remote.Protocol},
		{name: "201, and seen later", faults: []regtest.Fault{{Class: regtest.Manifest, Method: "HEAD", Times: 2, Do: regtest.Status(404)}, {Class: regtest.Manifest, Method: "GET", Times: 2, Do: regtest.Status(404)}}},
		{name: "201, and another is seen", faults: []regtest.Fault{{Class: regtest.Manifest, Method: "HEAD", Times: 2, Do: other}}},
		{name: "201, and always another", faults: []regtest.Fault{{Class: regtest.Manifest, Method: "HEAD", Do: other}}, kind: remote.Protocol},
		{name: "201, HEAD finds nothing, GET does", faults: []regtest.Fault{{Class: regtest.Manifest, Method: "HEAD", Times: 1, Do: regtest.Status(404)}}},
		{name: "201, and no answer to whether it is there", faults: []regtest.Fault{{Class: regtest.Manifest, Method: "HEAD", Times: 1, Do: regtest.Status(401)}}},
		{name: "blobs not seen yet", faults: []regtest.Fault{put(3, says(400, "MANIFEST_BLOB_UNKNOWN"))}},
		{name: "blobs not seen yet, as 404", faults: []regtest.Fault{put(1, says(404, "BLOB_UNKNOWN"))}},
		{name: "children not seen yet", faults: []regtest.Fault{put(1, says(404, "MANIFEST_UNKNOWN"))}},
		{name: "blobs never seen", faults: []regtest.Fault{put(0, says(400, "MANIFEST_BLOB_UNKNOWN"))}, kind: remote.Protocol},
		{name: "refused, and there all the same", faults: []regtest.Fault{put(0, butSays(says(409, "DENIED"))), put(0, says(400, "TAG_INVALID"))}, unlisted: true},
		{name: "invalid", faults: []regtest.Fault{put(0, says(400, "MANIFEST_INVALID"))}, kind: remote.Protocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reg := start(t, regtest.Options{})
			c := client(t, remote.Options{}, reg)
			ctx, repo := t.Context(), reg.Host()+"/r"
			config, err := reg.PushBlob(ctx, "r", []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			subject, raw := image(t, ocispec.Manifest{Config: config, Layers: []ocispec.Descriptor{}})
			signature, signed := image(t, ocispec.Manifest{Config: config, Layers: []ocispec.Descriptor{}, Subject: &subject})
			for _, f := range tt.faults {
				reg.Inject(f)
			}
			err = c.PushManifest(ctx, repo, "1", subject, raw)
			if tt.kind != remote.Other {
				wantError(t, err, tt.kind)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, ok, err := c.HasManifest(ctx, repo, "1"); !ok || got != subject.Digest || err != nil {
				t.Errorf("the registry has %s, %v", got, err)
			}
			if tt.unlisted {
				wantError(t, c.PushManifest(ctx, repo, "", signature, signed), remote.Protocol)
				return
			}
			// What comes after an answer of 201 comes after these, too.
			if err := c.PushManifest(ctx, repo, "", signature, signed); err != nil {
				t.Fatal(err)
			}
			if all, err := c.Referrers(ctx, repo, subject.Digest); len(all) != 1 || err != nil {
				t.Errorf("referrers %v, %v", all, err)
			}
		})
	}
}

// Whoever waits for long is told: of silence, of pauses, and of which attempt.
func TestWaiting(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault func(told <-chan struct{}) regtest.Injector
		want  remote.Wait
	}{
		{"silence", func(told <-chan struct{}) regtest.Injector {
			return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				<-told
				next.ServeHTTP(w, r)
			}
		}, remote.Wait{Attempt: 1, Of: 3}},
		{"silence in the middle", func(told <-chan struct{}) regtest.Injector {
			return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				w.Header().Set("Content-Length", fmt.Sprint(mib))
				_, _ = io.CopyN(w, zeros{}, 1000)
				_ = http.NewResponseController(w).Flush()
				<-told
				_, _ = io.CopyN(w, zeros{}, mib-1000)
			}
		}, remote.Wait{Attempt: 1, Of: 3}},
		{"pause", func(<-chan struct{}) regtest.Injector { return regtest.Status(429, "Retry-After", "1") }, remote.Wait{Attempt: 2, Of: 8}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reg := start(t, regtest.Options{})
			data := make([]byte, mib)
			d, err := reg.PushBlob(t.Context(), "r", data)
			if err != nil {
				t.Fatal(err)
			}
			told := make(chan struct{})
			var first remote.Wait
			var once sync.Once
			retry := fast
			retry.Notice = 300 * time.Millisecond
			c := client(t, remote.Options{Retry: retry, Waiting: func(w remote.Wait) {
				once.Do(func() {
					first = w
					close(told)
				})
			}}, reg)
			reg.Inject(regtest.Fault{Method: "GET", Class: regtest.Blob, Times: 1, Do: tt.fault(told)})
			got, err := pull(t.Context(), c, reg.Host()+"/r", d)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatal(err)
			}
			<-told
			if first.Host != reg.Host() || first.Attempt != tt.want.Attempt || first.Of != tt.want.Of || time.Since(first.Since) < retry.Notice {
				t.Errorf("told %+v, want %+v", first, tt.want)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
