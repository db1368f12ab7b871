package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
	"bundle/layout"
)

const golden = "../../../testdata/golden/"

// openGolden opens the golden bundle after edit has had its file.
func openGolden(t testing.TB, edit func(path string, b *open.Bundle)) *open.Bundle {
	t.Helper()
	anyone, err := trust.LoadTrust(t.Context(), []string{golden + "key.pub"}, "")
	if err != nil {
		t.Fatal(err)
	}
	path := golden + "v1b.bundle.tar"
	if edit != nil {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(t.TempDir(), "b.tar")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := open.File(t.Context(), path, anyone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if edit != nil {
		edit(path, b)
	}
	return b
}

// flip changes the last byte of a blob in the file.
func flip(t testing.TB, path string, b *open.Bundle, d digest.Digest) {
	t.Helper()
	e, _ := b.Reader.Entry(layout.BlobName(d))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := e.Offset + e.Size - 1
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, at); err != nil {
		t.Fatal(err)
	}
	last[0] ^= 1
	if _, err := f.WriteAt(last, at); err != nil {
		t.Fatal(err)
	}
}

// largest is a layer of the bundle.
func largest(b *open.Bundle) ocispec.Descriptor {
	var found ocispec.Descriptor
	for _, d := range b.Blobs {
		if !layout.IsManifest(d.MediaType) && d.MediaType != record.Type && d.Size > found.Size {
			found = d
		}
	}
	return found
}

// The layers of the golden bundle have a few kB.
func TestMain(m *testing.M) {
	block = 1000
	os.Exit(m.Run())
}

func start(t testing.TB, o Options, bundles ...*open.Bundle) string {
	t.Helper()
	s, err := New(bundles, o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv.URL
}

// get asks once.
func get(t testing.TB, method, url string, header ...string) (*http.Response, []byte, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return new(http.Response), nil, err // also where a small response was broken
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, b, err
}

func TestBlob(t *testing.T) {
	t.Parallel()
	b := openGolden(t, nil)
	layer := largest(b)
	want, err := b.Reader.ReadBlob(layer.Digest, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	url := start(t, Options{}, b) + "/v2/acme/app/blobs/" + layer.Digest.String()
	etag := `"` + layer.Digest.String() + `"`
	n := len(want)
	for _, tc := range []struct {
		name, method string
		header       []string
		status       int
		body         string
	}{
		{"whole", "GET", nil, 200, string(want)},
		{"head", "HEAD", nil, 200, ""},
		{"a part", "GET", []string{"Range", "bytes=3-9"}, 206, string(want[3:10])},
		{"from", "GET", []string{"Range", fmt.Sprintf("bytes=%d-", n-5)}, 206, string(want[n-5:])},
		{"the last", "GET", []string{"Range", "bytes=-7"}, 206, string(want[n-7:])},
		{"from one block to the next but one", "GET", []string{"Range", "bytes=995-2003"}, 206, string(want[995:2004])},
		{"a block", "GET", []string{"Range", "bytes=1000-1999"}, 206, string(want[1000:2000])},
		{"beyond", "GET", []string{"Range", fmt.Sprintf("bytes=%d-", n)}, 416, ""},
		{"known", "GET", []string{"If-None-Match", etag}, 304, ""},
		{"not known", "GET", []string{"If-None-Match", `"sha256:0"`}, 200, string(want)},
		{"a part, if it is the same", "GET", []string{"Range", "bytes=0-0", "If-Range", etag}, 206, string(want[:1])},
		{"all, as it is another", "GET", []string{"Range", "bytes=0-0", "If-Range", `"x"`}, 200, string(want)},
		{"write", "PUT", nil, 405, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, body, err := get(t, tc.method, url, tc.header...)
			if err != nil || resp.StatusCode != tc.status {
				t.Fatalf("%d, %v; want %d", resp.StatusCode, err, tc.status)
			}
			if tc.status < 300 && string(body) != tc.body {
				t.Errorf("%d bytes, want others, %d", len(body), len(tc.body))
			}
			if tc.status < 400 && resp.Header.Get("ETag") != etag {
				t.Errorf("ETag %s", resp.Header.Get("ETag"))
			}
			if tc.method == "HEAD" && resp.ContentLength != int64(n) {
				t.Errorf("length %d, want %d", resp.ContentLength, n)
			}
		})
	}
}

// Damage breaks the response before its last byte, is told once, and the blob is
// unknown from then on: whole, in part, and to those who only ask.
func TestDamage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, header string
		status       int
	}{{"whole", "", 200}, {"in part", "bytes=0-3", 404}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var layer ocispec.Descriptor
			b := openGolden(t, func(path string, b *open.Bundle) {
				layer = largest(b)
				flip(t, path, b, layer.Digest)
			})
			var told lineLog
			url := start(t, Options{Tell: told.add}, b)
			blob := url + "/v2/acme/app/blobs/" + layer.Digest.String()
			resp, body, err := get(t, "GET", blob, "Range", tc.header)
			if resp.StatusCode != tc.status && err == nil {
				t.Errorf("status %d, want %d", resp.StatusCode, tc.status)
			}
			if tc.status == 200 && (err == nil || int64(len(body)) >= layer.Size) {
				t.Errorf("%d of %d bytes came, and the end: %v", len(body), layer.Size, err)
			}
			for _, method := range []string{"GET", "HEAD"} {
				if resp, _, _ := get(t, method, blob); resp.StatusCode != 404 {
					t.Errorf("%s afterwards: %d, want 404", method, resp.StatusCode)
				}
			}
			if all := told.all(); len(all) != 1 || !strings.Contains(all[0], layer.Digest.String()) {
				t.Errorf("told %q", all)
			}
			if _, body, _ := get(t, "GET", url+"/metrics"); !strings.Contains(string(body), "\nbundle_damaged_blobs 1\n") {
				t.Errorf("%s", body)
			}
		})
	}
}

// What is asked for again is compared with what was read when the whole was found
// right: a part after a part, the whole after the whole, one after the other.
func TestDamageAfterwards(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"", "bytes=0-3"} {
		for _, second := range []string{"", "bytes=-3"} {
			var path string
			b := openGolden(t, func(p string, _ *open.Bundle) { path = p })
			layer := largest(b)
			blob := start(t, Options{}, b) + "/v2/acme/app/blobs/" + layer.Digest.String()
			for range 2 {
				if _, body, err := get(t, "GET", blob, "Range", first); err != nil || first == "" && digest.FromBytes(body) != layer.Digest {
					t.Fatalf("%q: %v", first, err)
				}
			}
			flip(t, path, b, layer.Digest)
			// A client may ask again by itself when a response is broken.
			if resp, body, err := get(t, "GET", blob, "Range", second); err == nil && resp.StatusCode != 404 {
				t.Errorf("%q, then %q: %d: %d bytes came, and nobody noticed", first, second, resp.StatusCode, len(body))
			}
			if resp, _, _ := get(t, "HEAD", blob); resp.StatusCode != 404 {
				t.Errorf("%q, then %q, afterwards: %d, want 404", first, second, resp.StatusCode)
			}
		}
	}
}

// What was read whole is known by its blocks, and of a part no more than those it touches
// are read again.
func TestDamageOfOneBlock(t *testing.T) {
	t.Parallel()
	var path string
	b := openGolden(t, func(p string, _ *open.Bundle) { path = p })
	layer := largest(b)
	if layer.Size < 2*block {
		t.Fatalf("the largest layer has %d bytes", layer.Size)
	}
	blob := start(t, Options{}, b) + "/v2/acme/app/blobs/" + layer.Digest.String()
	_, want, err := get(t, "GET", blob)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, path, b, layer.Digest)
	if resp, body, err := get(t, "GET", blob, "Range", "bytes=990-1009"); err != nil || resp.StatusCode != 206 || string(body) != string(want[990:1010]) {
		t.Errorf("two blocks that are right: %d, %q, %v", resp.StatusCode, body, err)
	}
	if resp, body, err := get(t, "GET", blob, "Range", "bytes=990-"); err == nil && resp.StatusCode < 400 {
		t.Errorf("to the end, which is wrong: %d, %d bytes", resp.StatusCode, len(body))
	}
}

// Another bundle that has the same blob stands in.
func TestDamageOfOne(t *testing.T) {
	t.Parallel()
	var layer ocispec.Descriptor
	bad := openGolden(t, func(path string, b *open.Bundle) {
		layer = largest(b)
		flip(t, path, b, layer.Digest)
	})
	blob := start(t, Options{}, bad, openGolden(t, nil)) + "/v2/acme/app/blobs/" + layer.Digest.String()
	if _, _, err := get(t, "GET", blob); err == nil {
		t.Error("the damaged one came whole")
	}
	if resp, body, err := get(t, "GET", blob); resp.StatusCode != 200 || err != nil || digest.FromBytes(body) != layer.Digest {
		t.Errorf("%d, %v: %s", resp.StatusCode, err, digest.FromBytes(body))
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	b := openGolden(t, nil)
	url := start(t, Options{}, b)
	app := b.Record.Images[0]
	host, path, _ := strings.Cut(strings.TrimSuffix(app.Reference, ":1.0"), "/")
	if path != "acme/app" {
		t.Fatalf("the golden bundle begins with %s", app.Reference)
	}
	for _, tc := range []struct {
		path   string
		status int
	}{
		{"/v2/", 200}, {"/v2", 200}, {"/healthz", 200}, {"/", 404}, {"/v3/", 404}, {"/v2/acme", 404}, {"/v2/acme/app/", 404},
		{"/v2/acme/app/manifests/1.0", 200},
		{"/v2/acme/app/manifests/" + app.Digest.String(), 200},
		{"/v2/" + host + "/acme/app/manifests/1.0", 200},
		{"/v2/acme/app/manifests/1.0?ns=" + host, 200},
		{"/v2/" + host + "/acme/app/manifests/1.0?ns=" + host, 200},
		{"/v2/acme/app/manifests/1.0?ns=quay.io", 404},
		{"/v2/acme/app/tags/list?ns=quay.io", 404},
		{"/v2/acme/app/blobs/" + largest(b).Digest.String() + "?ns=quay.io", 404},
		{"/v2/charts/app/manifests/1.0.0", 200},
		{"/v2/charts/app/manifests/1.0.0?ns=bundle.invalid", 404},
		{"/v2/acme/app/manifests/2.0", 404},
		{"/v2/acme/app/manifests/sha256:1", 400},
		{"/v2/acme/app/manifests/sha512:" + strings.Repeat("0", 128), 404},
		{"/v2/acme/app/blobs/../../etc/passwd", 404},
		{"/v2/acme/app/blobs/sha256:" + strings.Repeat("0", 64), 404},
		{"/v2/acme/app/manifests/" + largest(b).Digest.String(), 404},
		{"/v2/acme/app/referrers/" + app.Digest.String(), 200},
		{"/v2/acme/app/referrers/x", 400},
		{"/v2/record/tags/list", 404},
		{"/v2/bundle.invalid/record/tags/list", 404},
	} {
		resp, body, err := get(t, "GET", url+tc.path)
		if err != nil || resp.StatusCode != tc.status {
			t.Errorf("%s: %d, %v, want %d: %s", tc.path, resp.StatusCode, err, tc.status, body)
		}
	}
}

// What each kind of answer is, and how long it may be kept: what is asked for by digest
// never changes, and the page is for one look, within its own policy.
func TestHeaders(t *testing.T) {
	t.Parallel()
	b := openGolden(t, nil)
	app := b.Record.Images[0]
	url := start(t, Options{Policy: "default-src 'none'", Page: func(w io.Writer) error {
		_, err := io.WriteString(w, "<p>here")
		return err
	}}, b)
	api := http.Header{"Docker-Distribution-Api-Version": {"registry/2.0"}, "X-Content-Type-Options": {"nosniff"}}
	for _, tc := range []struct {
		method, path string
		status       int
		body         string // empty: any
		header       http.Header
	}{
		{"GET", "/", 200, "<p>here", http.Header{
			"Content-Type": {"text/html; charset=utf-8"}, "Content-Security-Policy": {"default-src 'none'"},
			"Referrer-Policy": {"no-referrer"}, "Cache-Control": {"no-store"},
		}},
		{"GET", "/healthz", 200, "ok\n", http.Header{"Content-Type": {"text/plain; charset=utf-8"}}},
		{"GET", "/metrics", 200, "", http.Header{"Content-Type": {"text/plain; version=0.0.4; charset=utf-8"}}},
		{"GET", "/v2/", 200, "{}", http.Header{"Content-Type": {"application/json"}, "Content-Length": {"2"}}},
		{"PUT", "/v2/acme/app/manifests/1.0", 405, "", http.Header{"Allow": {"GET, HEAD"}, "Content-Type": {"application/json"}}},
		{"HEAD", "/v2/acme/app/manifests/1.0", 200, "", http.Header{
			"Docker-Content-Digest": {app.Digest.String()}, "Etag": {`"` + app.Digest.String() + `"`}, "Cache-Control": {"no-cache"},
			"Content-Type": {ocispec.MediaTypeImageIndex},
		}},
		{"HEAD", "/v2/acme/app/manifests/" + app.Digest.String(), 200, "", http.Header{"Cache-Control": {"max-age=31536000, immutable"}}},
		{"HEAD", "/v2/acme/app/blobs/" + largest(b).Digest.String(), 200, "", http.Header{"Cache-Control": {"max-age=31536000, immutable"}, "Content-Type": {"application/octet-stream"}}},
		{"GET", "/v2/acme/app/referrers/" + app.Digest.String() + "?artifactType=a/b", 200, "", http.Header{"Oci-Filters-Applied": {"artifactType"}, "Content-Type": {ocispec.MediaTypeImageIndex}}},
		{"GET", "/v2/acme/app/referrers/" + app.Digest.String(), 200, "", http.Header{"Oci-Filters-Applied": nil}},
		{"GET", "/v2/_catalog?n=1&ns=docker.io", 200, "", http.Header{"Link": {`</v2/_catalog?last=acme%2Fapp&n=1&ns=docker.io>; rel="next"`}}},
	} {
		resp, body, err := get(t, tc.method, url+tc.path)
		if err != nil || resp.StatusCode != tc.status || tc.body != "" && string(body) != tc.body {
			t.Errorf("%s %s: %d, %q, %v", tc.method, tc.path, resp.StatusCode, body, err)
		}
		for _, want := range []http.Header{api, tc.header} {
			for name, values := range want {
				if got := resp.Header[name]; !slices.Equal(got, values) {
					t.Errorf("%s %s: %s %q, want %q", tc.method, tc.path, name, got, values)
				}
			}
		}
	}
	url = start(t, Options{Page: func(io.Writer) error { return errors.New("no room") }}, b)
	if resp, body, _ := get(t, "GET", url+"/"); resp.StatusCode != 500 || strings.Contains(string(body), "no room") {
		t.Errorf("a page that cannot be made: %d %s", resp.StatusCode, body)
	}
}

// The record holds values of users: it is on the page and nowhere else.
func TestRecordIsPrivate(t *testing.T) {
	t.Parallel()
	b := openGolden(t, nil)
	url := start(t, Options{}, b)
	n := 0
	for _, d := range append(b.Index.Manifests, b.Blobs...) {
		if d.MediaType != record.Type && d.ArtifactType != record.Type {
			continue
		}
		n++
		for _, kind := range []string{"blobs", "manifests"} {
			if resp, _, _ := get(t, "GET", url+"/v2/acme/app/"+kind+"/"+d.Digest.String()); resp.StatusCode != 404 {
				t.Errorf("%s %s: %d", kind, d.MediaType, resp.StatusCode)
			}
		}
	}
	if n != 2 {
		t.Errorf("%d parts of a record, want a manifest and a layer", n)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	url := start(t, Options{}, openGolden(t, nil))
	var all []string
	next := "/v2/_catalog?n=1"
	for range 10 {
		resp, body, _ := get(t, "GET", url+next)
		var page struct{ Repositories []string }
		if err := json.Unmarshal(body, &page); err != nil || len(page.Repositories) > 1 {
			t.Fatalf("%v: %s", err, body)
		}
		all = append(all, page.Repositories...)
		link, more := strings.CutPrefix(resp.Header.Get("Link"), "<")
		if !more {
			break
		}
		next, _, _ = strings.Cut(link, ">")
	}
	if want := []string{"acme/app", "acme/sidecar", "charts/app"}; !slices.Equal(all, want) {
		t.Errorf("page by page %q, want %q", all, want)
	}
	for query, want := range map[string]string{
		"": `{"name":"acme/app","tags":["1.0"]}`, "?n=0": `{"name":"acme/app","tags":[]}`, "?last=1.0": `{"name":"acme/app","tags":[]}`,
		"?last=0": `{"name":"acme/app","tags":["1.0"]}`, "?n=5&last=zz": `{"name":"acme/app","tags":[]}`,
	} {
		if _, body, _ := get(t, "GET", url+"/v2/acme/app/tags/list"+query); string(body) != want {
			t.Errorf("%q: %s, want %s", query, body, want)
		}
	}
	for _, n := range []string{"-1", "x", "99999999999999999999"} {
		if resp, _, _ := get(t, "GET", url+"/v2/acme/app/tags/list?n="+n); resp.StatusCode != 400 {
			t.Errorf("n=%s: %d", n, resp.StatusCode)
		}
	}
}

// Two contents for one name are refused before anybody can ask.
func TestConflict(t *testing.T) {
	t.Parallel()
	d := digest.FromString
	all := make(map[string]repository)
	for _, one := range []struct {
		tag string
		d   digest.Digest
		ok  bool
	}{{"1", d("a"), true}, {"1", d("a"), true}, {"2", d("b"), true}, {"", d("c"), true}, {"1", d("b"), false}} {
		err := add(all, "acme/app", one.tag, one.d)
		var conflict *ConflictError
		if (err == nil) != one.ok || err != nil && (!errors.As(err, &conflict) || fault.KindOf(err) != fault.Usage) {
			t.Errorf("%v: %v", one, err)
		}
	}
}

// Many ask at once, some of them very slowly.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	b := openGolden(t, nil)
	layer := largest(b)
	url := start(t, Options{}, b) + "/v2/acme/app/blobs/" + layer.Digest.String()
	var slow []io.Closer
	for range 8 { // they read nothing until the others are done
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, resp.Body)
	}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			header := "bytes=0-"
			if i%2 == 0 {
				header = ""
			}
			_, body, err := get(t, "GET", url, "Range", header)
			if err != nil || digest.FromBytes(body) != layer.Digest {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for _, c := range slow {
		c.Close()
	}
}

// A client that goes away while the whole is read for it leaves that to the next.
func TestPartGivenUp(t *testing.T) {
	t.Parallel()
	b := openGolden(t, nil)
	s := newStore([]*open.Bundle{b}, func(digest.Digest, error) {})
	at, size, _ := s.find(largest(b).Digest)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.part(gone, at, size); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := s.part(t.Context(), at, size); err != nil || s.refused() != 0 {
		t.Errorf("%v", err)
	}
}

type lineLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *lineLog) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, s)
}

func (l *lineLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}
