package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	rand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/transfer"
	"bundle/bundle/internal/trust"
	"bundle/layout"
	"bundle/testdata/regtest"
)

// quiet is how long a connection may be silent where silence is what is tested:
// longer than a busy machine takes to answer.
const quiet = 2 * time.Second

// patient bears many faults, without pausing between them.
var patient = Retry{Attempts: 10, MinWait: time.Millisecond, MaxWait: 5 * time.Millisecond, MaxRetryAfter: time.Second, Stall: 20 * time.Second}

// often is patient where ten times in a row without one that gets through do happen.
func often(stall time.Duration) Retry {
	r := patient
	r.Attempts = 40
	if stall > 0 {
		r.Stall = stall
	}
	return r
}

// third strikes at a third of all requests, without a rhythm: an upload takes
// three requests, and every third would hit the same one each time.
func third() func(*http.Request) bool {
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(1, 2))
	return func(*http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		return dice.IntN(3) == 0
	}
}

// drip sends the body byte by byte, slower than any stall limit allows.
func drip(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(&dripping{w, r.Context()}, r)
}

type dripping struct {
	http.ResponseWriter
	ctx context.Context
}

func (d *dripping) Write(b []byte) (int, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range b {
		if _, err := d.ResponseWriter.Write(b[i : i+1]); err != nil {
			return i, err
		}
		_ = http.NewResponseController(d.ResponseWriter).Flush()
		select {
		case <-tick.C:
		case <-d.ctx.Done():
			return i, d.ctx.Err()
		}
	}
	return len(b), nil
}

// Whatever goes wrong on the way: an export completes with the right bytes.
func TestExportUnderFaults(t *testing.T) {
	t.Parallel()
	blobs := func(times int, do regtest.Injector) regtest.Fault {
		return regtest.Fault{Method: "GET", Class: regtest.Blob, Times: times, Do: do}
	}
	tests := []struct {
		name   string
		stall  time.Duration
		faults []regtest.Fault
	}{
		{"none", 0, nil},
		{"resets before the answer", 0, []regtest.Fault{{Skip: 6, Times: 5, Do: regtest.Refuse()}}},
		{"resets mid-body", 0, []regtest.Fault{blobs(6, regtest.Reset(30_000))}},
		{"ranges ignored after resets", 0, []regtest.Fault{blobs(2, regtest.Reset(50_000)), blobs(0, regtest.WithoutHeader("Range"))}},
		{"storm of 429", 0, []regtest.Fault{{Match: third(), Times: 20, Do: regtest.Status(429, "Retry-After", "0")}}},
		{"503 at a third of all requests", 0, []regtest.Fault{{Match: third(), Do: regtest.Status(503)}}},
		{"408", 0, []regtest.Fault{{Times: 3, Do: regtest.Status(408)}}},
		{"silence mid-body", quiet, []regtest.Fault{blobs(2, regtest.Stall(30_000))}},
		{"a byte now and then", quiet, []regtest.Fault{blobs(2, drip)}},
		{"token expired", 0, []regtest.Fault{{Class: regtest.Blob, Skip: 1, Times: 1, Do: regtest.WithoutHeader("Authorization")}}},
	}
	var once sync.Once
	var want digest.Digest // of all bundles
	for _, tt := range tests {
		for _, to := range []string{"file", "stream"} {
			t.Run(tt.name+"/"+to, func(t *testing.T) {
				t.Parallel()
				pub, err := regtest.Start(regtest.Options{Token: true, Username: "u", Password: "p"})
				if err != nil {
					t.Fatal(err)
				}
				defer pub.Close()
				pushImage(t, pub, "acme/a:1", regtest.Image{Layers: []regtest.Layer{{Size: baseSize, Seed: 1}, {Size: 100_000, Seed: 2}, {Size: 1000, Seed: 3}}})
				pushIndex(t, pub, "acme/b:1", platforms("linux/amd64", "linux/arm64"))
				for _, f := range tt.faults {
					pub.Inject(f)
				}
				p := &watcher{t: t}
				o := ExportOptions{
					Images: []string{"acme/a:1", "acme/b:1"}, Unsigned: true, Created: time.Unix(1e9, 0), Registry: through(pub), Progress: p,
				}
				o.Registry.Credentials = map[string]Credential{pub.Host(): {Username: "u", Password: "p"}}
				o.Registry.Retry = often(tt.stall)
				var stream bytes.Buffer
				if to == "stream" {
					o.Output, o.Stream = transfer.StreamOutput, &stream
				}
				r := mustExport(t, o)
				got := digest.FromBytes(stream.Bytes())
				if to == "file" {
					got = digest.FromString(regtest.ReadFile(t, r.Output))
				}
				once.Do(func() { want = got })
				if got != want {
					t.Error("the bundle differs")
				}
				p.complete("fetching")
			})
		}
	}
}

// target is a kind of registry that an import goes to.
type target struct {
	name  string
	start func(t *testing.T) *regtest.Registry
}

// targets are all kinds. What they start ends with t. One docker-registry serves all
// tests below t: a front for each has the faults, and a project of its own keeps them
// apart.
func targets(t *testing.T) []target {
	process := sync.OnceValues(func() (*regtest.Registry, error) {
		back, err := regtest.StartProcess(regtest.Options{})
		if err == nil {
			t.Cleanup(func() { back.Close() })
		}
		return back, err
	})
	return []target{
		{"distribution 3", func(t *testing.T) *regtest.Registry { return startRegistry(t) }},
		{"docker-registry 2.8", func(t *testing.T) *regtest.Registry {
			back, err := process()
			if errors.Is(err, regtest.ErrNoProcess) && os.Getenv("CI") == "" {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			front := func(o regtest.Options) (*regtest.Registry, error) { return regtest.StartFront(back, o) }
			return regtest.Running(t, front, regtest.Options{})
		}},
		{"with referrers API", func(t *testing.T) *regtest.Registry {
			return regtest.Running(t, regtest.StartReferrers, regtest.Options{})
		}},
	}
}

// baseSize is the size of the largest layer of what carriedApp makes.
const baseSize = 200_000

// carriedApp makes a bundle of images that share blobs, and returns what they are.
func carriedApp(t *testing.T) (bundle string, images map[string]digest.Digest) {
	t.Helper()
	pub := startRegistry(t)
	images = map[string]digest.Digest{
		"acme/a:1": pushImage(t, pub, "acme/a:1", regtest.Image{Layers: []regtest.Layer{{Size: baseSize, Seed: 1}, {Size: 100_000, Seed: 2}, {Size: 1000, Seed: 3}}}).Digest,
		"acme/b:1": pushIndex(t, pub, "acme/b:1", platforms("linux/amd64", "linux/arm64")).Digest,
		"acme/c:1": pushImage(t, pub, "acme/c:1", regtest.Image{Layers: []regtest.Layer{{Size: baseSize, Seed: 1}, {Size: 30_000, Seed: 4}}}).Digest,
	}
	o := ExportOptions{Images: slices.Sorted(maps.Keys(images)), Unsigned: true, Registry: through(pub)}
	return mustExport(t, o).Output, images
}

// Whatever goes wrong on the way, at every kind of registry: an import
// completes, and the registry serves every byte.
func TestImportUnderFaults(t *testing.T) {
	t.Parallel()
	put := func(times int, do regtest.Injector) regtest.Fault {
		return regtest.Fault{Method: "PUT", Class: regtest.Upload, Times: times, Do: do}
	}
	tests := []struct {
		name   string
		stall  time.Duration
		chunk  int64
		faults []regtest.Fault
	}{
		// First, since it waits longest: a registry that has everything may take its time.
		{name: "silence", stall: quiet / 2, faults: []regtest.Fault{put(1, regtest.StallUpload(5_000))}},
		{name: "none"},
		{name: "in chunks", chunk: 40_000},
		{name: "chunks reset", chunk: 40_000, faults: []regtest.Fault{{Method: "PATCH", Times: 2, Skip: 1, Do: regtest.ResetUpload(5_000)}}},
		{name: "resets mid-body", faults: []regtest.Fault{put(3, regtest.ResetUpload(10_000))}},
		{name: "answers lost", faults: []regtest.Fault{put(3, regtest.LoseAnswer())}},
		{name: "storm of 429", faults: []regtest.Fault{{Match: third(), Times: 20, Do: regtest.Status(429, "Retry-After", "0")}}},
		{name: "503 at a third of all requests", faults: []regtest.Fault{{Match: third(), Do: regtest.Status(503)}}},
		{name: "no HEAD on blobs", faults: []regtest.Fault{{Method: "HEAD", Class: regtest.Blob, Do: regtest.Status(405)}}},
		{name: "no mount", faults: []regtest.Fault{{Method: "POST", Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			r = r.Clone(r.Context())
			r.URL.RawQuery = ""
			next.ServeHTTP(w, r)
		}}}},
		{name: "mount refused", faults: []regtest.Fault{{
			Method: "POST", Match: func(r *http.Request) bool { return r.URL.Query().Has("mount") }, Do: regtest.Status(400),
		}}},
		{name: "manifests refused at first", faults: []regtest.Fault{{Method: "PUT", Class: regtest.Manifest, Times: 4, Do: regtest.Status(502)}}},
	}
	file, images := carriedApp(t)
	for _, to := range targets(t) {
		for i, tt := range tests {
			if to.name == "with referrers API" && tt.chunk > 0 && len(tt.faults) > 0 {
				continue // it takes chunks, and has no way to go on with a broken one
			}
			t.Run(to.name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				reg := to.start(t)
				for _, f := range tt.faults {
					reg.Inject(f)
				}
				p := &watcher{t: t}
				o := onto(reg, trust.TrustAnyone())
				o.Registry.Prefix = fmt.Sprintf("apps%d", i)
				o.RegistryOptions.Retry, o.ChunkSize, o.Progress = often(tt.stall), tt.chunk, p
				r := mustImport(t, file, o)
				reg.ClearFaults()
				for ref, d := range images {
					holds(t, reg, o.Registry.Prefix+"/"+ref, d)
				}
				p.complete("pushing")
				if tt.name == "none" && to.name != "with referrers API" && r.Bytes.Mounted == 0 {
					t.Errorf("nothing was mounted: %+v", r.Bytes)
				}
			})
		}
	}
}

// An import asks about each blob once before and once after it is sent, sends each
// once, and a second import only asks, once.
func TestImportRequests(t *testing.T) {
	file, _ := carriedApp(t)
	reg := startRegistry(t)
	o := onto(reg, trust.TrustAnyone())
	o.NoRecord = true
	mustImport(t, file, o)
	asked := make(map[string]int)
	for _, r := range reg.Log.Requests() {
		if r.Method == "HEAD" && r.Class == regtest.Blob {
			asked[r.Path]++
		}
	}
	for path, n := range asked {
		if n != 2 {
			t.Errorf("asked %d times about %s", n, path)
		}
	}
	blobs := pushed(t, mustOpen(t, file, trust.TrustAnyone()))
	if n := reg.Log.Count("PUT", regtest.Upload); n != len(blobs) {
		t.Errorf("%d uploads of %d blobs", n, len(blobs))
	}
	reg.Log.Reset()
	r := mustImport(t, file, o)
	if got := writes(reg); len(got) != 0 || r.Bytes.Sent != 0 {
		t.Errorf("the second import wrote %q, %+v", got, r.Bytes)
	}
	// But for the records of imports, of which there are none.
	if heads, tags, all := reg.Log.Count("HEAD", ""), reg.Log.Count("GET", regtest.Tags), reg.Log.Count("", ""); heads+1 != all || tags != 1 {
		t.Errorf("%d requests, of them %d HEAD", all, heads)
	}
}

// pushed lists the blobs of all images in a bundle, each once.
func pushed(t *testing.T, b *open.Bundle) map[digest.Digest]int64 {
	t.Helper()
	all := make(map[digest.Digest]int64)
	for _, d := range b.Index.Manifests {
		if d.ArtifactType == record.Type {
			continue
		}
		_, blobs, err := b.BlobsOf(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range blobs {
			all[d.Digest] = d.Size
		}
	}
	return all
}

// An upload that breaks where a registry cannot go on with it is begun anew, and
// no other with it.
func TestImportRestartsOneBlob(t *testing.T) {
	file, _ := carriedApp(t)
	reg := startRegistry(t)
	const cuts = 2
	reg.Inject(regtest.Fault{Method: "PUT", Class: regtest.Upload, Skip: 1, Times: cuts, Do: regtest.ResetUpload(100)})
	reg.Inject(regtest.Fault{Method: "GET", Class: regtest.Upload, Do: regtest.Status(404)})
	o := onto(reg, trust.TrustAnyone())
	o.RegistryOptions.Retry = patient
	o.Jobs, o.NoRecord = 1, true
	mustImport(t, file, o)
	blobs := len(pushed(t, mustOpen(t, file, trust.TrustAnyone())))
	if n := reg.Log.Count("PUT", regtest.Upload); n != blobs+cuts {
		t.Errorf("%d uploads of %d blobs after %d cuts", n, blobs, cuts)
	}
}

// A registry that goes away in the middle and comes back is waited for.
func TestRegistryComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, images := carriedApp(t)
	reg, err := regtest.Start(regtest.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	host := reg.Host()
	again := make(chan *regtest.Registry, 1)
	restart := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		go func() {
			reg.Close()
			for {
				back, err := regtest.Start(regtest.Options{Dir: dir, Addr: host})
				if err == nil {
					again <- back
					return
				}
			}
		}()
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	retry := patient
	retry.Attempts, retry.MinWait, retry.MaxWait = 50, 10*time.Millisecond, 50*time.Millisecond

	reg.Inject(regtest.Fault{Method: "PUT", Class: regtest.Upload, Skip: 1, Times: 1, Do: restart})
	o := onto(reg, trust.TrustAnyone())
	o.RegistryOptions.Retry = retry
	mustImport(t, file, o)
	reg = <-again
	for ref, d := range images {
		holds(t, reg, "apps/"+ref, d)
	}

	reg.Inject(regtest.Fault{Method: "GET", Class: regtest.Blob, Skip: 2, Times: 1, Do: restart})
	e := ExportOptions{
		Images: []string{host + "/apps/acme/a:1", host + "/apps/acme/c:1"}, Unsigned: true,
		Registry: RegistryOptions{PlainHTTP: []string{host}, Retry: retry},
	}
	r := mustExport(t, e)
	reg = <-again
	defer reg.Close()
	if _, err := Verify(context.Background(), r.Output, trust.TrustAnyone(), nil); err != nil {
		t.Error(err)
	}
}

// What cannot succeed fails, and says for which image, blob and registry, and
// after how many attempts.
func TestFaultsForEver(t *testing.T) {
	t.Parallel()
	pub := startRegistry(t)
	pushImage(t, pub, "acme/a:1", small(1))
	layer := layerOf(t, pub, "acme/a:1", 1)
	file, _ := carriedApp(t)
	retry := patient
	retry.Attempts = 3
	for _, tt := range []struct {
		name  string
		do    regtest.Injector
		parts []string
	}{
		{"503", regtest.Status(503), []string{"3 attempts", "status 503"}},
		{"resets", regtest.Refuse(), []string{"3 attempts"}},
		{"429 for too long", regtest.Status(429, "Retry-After", "3600"), []string{"status 429"}},
		{"403", regtest.Status(403), []string{"status 403"}},
		{"body that is too short", regtest.Truncate(10), []string{"10 bytes"}},
		{"other bytes", regtest.Corrupt(10), []string{"content has the digest"}},
	} {
		t.Run("export/"+tt.name, func(t *testing.T) {
			pub.ClearFaults()
			pub.Inject(regtest.Fault{Method: "GET", Path: layer.Encoded(), Do: tt.do})
			out := t.TempDir()
			o := ExportOptions{Images: []string{"acme/a:1"}, Unsigned: true, Output: filepath.Join(out, "x.tar"), Registry: through(pub)}
			o.Registry.Retry = retry
			_, err := Export(context.Background(), o)
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range slices.Concat(tt.parts, []string{"docker.io/acme/a:1", layer.Encoded()}) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not name %q", err, part)
				}
			}
			if tt.name != "other bytes" && !strings.Contains(err.Error(), pub.Host()) {
				t.Errorf("error %q does not name the registry", err)
			}
			regtest.WantFiles(t, out)
			var stream bytes.Buffer
			o.Output, o.Stream = transfer.StreamOutput, &stream
			_, err = Export(context.Background(), o)
			wantError(t, err, fault.KindOf(err), slices.Concat(tt.parts, []string{"docker.io/acme/a:1", layer.Encoded()})...)
		})
	}
	for _, tt := range []struct {
		name  string
		do    regtest.Injector
		parts []string
	}{
		{"503", regtest.Status(503), []string{"3 attempts", "status 503"}},
		{"resets", regtest.Refuse(), []string{"3 attempts"}},
		{"413", regtest.Status(413), []string{"status 413"}},
	} {
		t.Run("import/"+tt.name, func(t *testing.T) {
			reg := startRegistry(t)
			reg.Inject(regtest.Fault{Method: "PUT", Class: regtest.Upload, Do: tt.do})
			o := onto(reg, trust.TrustAnyone())
			o.RegistryOptions.Retry, o.OutputDir = retry, t.TempDir()
			_, err := Import(context.Background(), file, o)
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range slices.Concat(tt.parts, []string{"docker.io/acme/", "@sha256:", reg.Host()}) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not name %q", err, part)
				}
			}
			for _, w := range writes(reg) {
				if strings.Contains(w, "/manifests/") {
					t.Errorf("%s after an upload that failed", w)
				}
			}
		})
	}
}

// Media that cannot be read ends the import, with the entry named.
func TestImportUnreadable(t *testing.T) {
	file, _ := carriedApp(t)
	b := mustOpen(t, file, trust.TrustAnyone())
	last := b.Reader.Entries()[len(b.Reader.Entries())-1]
	for _, r := range b.Reader.Entries() {
		if r.Size > last.Size {
			last = r
		}
	}
	reg := startRegistry(t)
	// The medium goes away when the first upload begins.
	reg.Inject(regtest.Fault{Method: "POST", Times: 1, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if err := os.Truncate(file, last.Offset+100); err != nil {
			t.Error(err)
		}
		next.ServeHTTP(w, r)
	}})
	o := onto(reg, trust.TrustAnyone())
	o.OutputDir = t.TempDir()
	_, err := Import(context.Background(), file, o)
	wantError(t, err, fault.Damaged, "blobs/sha256/", "ends after")
	for _, w := range writes(reg) {
		if strings.Contains(w, "/manifests/") {
			t.Errorf("%s", w)
		}
	}
}

// A badMedium cannot read the bytes from one offset up to another.
type badMedium struct {
	io.ReaderAt
	from, to int64
}

func (b *badMedium) ReadAt(p []byte, at int64) (int, error) {
	if end := at + int64(len(p)); at < b.to && end > b.from {
		n, _ := b.ReaderAt.ReadAt(p[:max(b.from-at, 0)], at)
		return n, syscall.EIO
	}
	return b.ReaderAt.ReadAt(p, at)
}

// A medium that fails is not a damaged bundle: the error says which entry could
// not be read and what the system said, at each step.
func TestImportMediumFails(t *testing.T) {
	file, _ := carriedApp(t)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	whole := mustOpen(t, file, trust.TrustAnyone())
	image := whole.Index.Manifests[0]
	children, err := layout.Children(image.MediaType, must(whole.Document(image)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		entry string
		at    int64 // in the entry
		late  bool  // it fails when the bundle is open already
	}{
		{"the list", layout.SumsFile, 0, false},
		{"index.json", layout.IndexFile, 10, false},
		{"a manifest", layout.BlobName(image.Digest), 3, false},
		{"a manifest that is pushed", layout.BlobName(image.Digest), 3, true},
		{"the begin of a layer", layout.BlobName(children[1].Digest), 0, true},
		{"the midst of a layer", layout.BlobName(children[1].Digest), baseSize / 2, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, ok := whole.Reader.Entry(tt.entry)
			if !ok {
				t.Fatalf("no entry %s", tt.entry)
			}
			bad := &badMedium{f, e.Offset + tt.at, e.Offset + tt.at + 1}
			if tt.late {
				bad.from, bad.to = 0, 0
			}
			reg := startRegistry(t)
			b, err := open.Reader(t.Context(), bad, whole.Size, trust.TrustAnyone())
			if err == nil {
				bad.from, bad.to = e.Offset+tt.at, e.Offset+tt.at+1
				_, err = importInto(t, reg, b)
			}
			var unread *layout.ReadError
			if !errors.Is(err, syscall.EIO) || !errors.As(err, &unread) || unread.Entry != tt.entry || unread.Offset > e.Offset+tt.at {
				t.Errorf("error is %v, want EIO at entry %s", err, tt.entry)
			}
			wantError(t, err, fault.Failed, tt.entry, "input/output error")
			if hint := fault.Hint(err); !strings.Contains(hint, "medium") {
				t.Errorf("hint is %q", hint)
			}
			if n := reg.Log.Count("PUT", regtest.Manifest); n != 0 {
				t.Errorf("%d manifests were pushed", n)
			}
		})
	}
}

// importInto pushes an open bundle.
func importInto(t *testing.T, reg *regtest.Registry, b *open.Bundle) ([]push.Image, error) {
	t.Helper()
	o := onto(reg, nil)
	client, err := remote.New(o.RegistryOptions)
	if err != nil {
		t.Fatal(err)
	}
	places, err := place.All(b, place.NewNames(b.Record, o.Registry, place.Full), place.Options{})
	if err != nil {
		return nil, err
	}
	p := &push.Pusher{Client: client, Bundle: b, Jobs: 2, Pr: progress.OrSilent(nil)}
	res, err := p.Run(t.Context(), places, false)
	if err != nil {
		return nil, err
	}
	return res.Images, res.Refused()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
