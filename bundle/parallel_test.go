package bundle

import (
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"bundle/bundle/internal/trust"
	"bundle/testdata/regtest"
)

// A meeting holds requests until as many as are wanted are there at once, and
// counts how many ever were: who sends them one after the other is found out, and
// who sends too many.
type meeting struct {
	wanted int
	all    chan struct{} // closed when they may go on

	mu          sync.Mutex
	there, most int
	met         bool
}

func newMeeting(wanted int) *meeting { return &meeting{wanted: wanted, all: make(chan struct{})} }

// hold lets a request go on to its registry after the meeting, or where no other
// comes for long.
func (m *meeting) hold(w http.ResponseWriter, r *http.Request, next http.Handler) {
	m.mu.Lock()
	m.there++
	m.most = max(m.most, m.there)
	if m.there == m.wanted && !m.met {
		m.met = true
		time.AfterFunc(50*time.Millisecond, func() { close(m.all) }) // those too many may come
	}
	m.mu.Unlock()
	select {
	case <-m.all:
	case <-r.Context().Done():
	case <-time.After(10 * time.Second):
	}
	m.mu.Lock()
	m.there--
	m.mu.Unlock()
	next.ServeHTTP(w, r)
}

func (m *meeting) check(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.most != m.wanted {
		t.Errorf("up to %d requests at once, want %d", m.most, m.wanted)
	}
}

// Everything of an export that crosses the network does so side by side, and
// never more of it at one registry than is allowed.
func TestExportSideBySide(t *testing.T) {
	t.Parallel()
	const jobs = 3
	one, two := startRegistry(t), startRegistry(t)
	var images []string
	for i := range int64(5) {
		ref := fmt.Sprintf("acme/app-%d:1", i)
		pushImage(t, one, ref, small(i))
		pushImage(t, two, ref, small(10+i))
		images = append(images, one.Host()+"/"+ref, two.Host()+"/"+ref)
	}
	pushIndex(t, one, "acme/index:1", platforms("linux/amd64", "linux/arm64", "linux/arm/v7"))
	pushImage(t, one, "acme/layers:1", large(1, 1000, 2000, 3000, 4000, 5000))
	isRoot := func(r *http.Request) bool { return filepath.Base(r.URL.Path) == "1" }
	for _, tt := range []struct {
		name   string
		images []string
		at     map[*regtest.Registry]int // how many requests have to meet there
		fault  regtest.Fault
	}{
		{"manifests of images", []string{images[0], images[2], images[4], images[6]}, map[*regtest.Registry]int{one: jobs},
			regtest.Fault{Method: "GET", Class: regtest.Manifest, Match: isRoot}},
		{"manifests of one image", []string{one.Host() + "/acme/index:1"}, map[*regtest.Registry]int{one: jobs},
			regtest.Fault{Method: "GET", Class: regtest.Manifest, Skip: 1}},
		{"referrers of one image", []string{one.Host() + "/acme/index:1"}, map[*regtest.Registry]int{one: jobs},
			regtest.Fault{Class: regtest.Referrers}},
		{"layers of one image", []string{one.Host() + "/acme/layers:1"}, map[*regtest.Registry]int{one: jobs},
			regtest.Fault{Method: "GET", Class: regtest.Blob, Skip: 1}}, // the config comes before
		{"layers at two registries", images, map[*regtest.Registry]int{one: jobs, two: jobs},
			regtest.Fault{Method: "GET", Class: regtest.Blob, Skip: 5}},
		{"layers at a busy registry and another", append(images[:1:1], images[1], images[2], images[4], images[6]), map[*regtest.Registry]int{one: jobs},
			regtest.Fault{Method: "GET", Class: regtest.Blob, Skip: 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			meetings := make(map[*regtest.Registry]*meeting)
			for reg, n := range tt.at {
				reg.ClearFaults()
				meetings[reg] = newMeeting(n)
				tt.fault.Do = meetings[reg].hold
				reg.Inject(tt.fault)
			}
			mustExport(t, ExportOptions{
				Images: tt.images, Unsigned: true, Jobs: jobs, Output: filepath.Join(t.TempDir(), "x.tar"),
				Registry: RegistryOptions{PlainHTTP: []string{one.Host(), two.Host()}},
			})
			for _, m := range meetings {
				m.check(t)
			}
		})
	}
}

// So does everything of an import, over images and repositories.
func TestImportSideBySide(t *testing.T) {
	const jobs = 3
	pub := startRegistry(t)
	var images []string
	for i := range int64(5) {
		ref := fmt.Sprintf("acme/app-%d:1", i)
		pushImage(t, pub, ref, small(i))
		images = append(images, ref)
	}
	file := mustExport(t, ExportOptions{Images: images, Unsigned: true, Registry: through(pub)}).Output
	for _, tt := range []struct {
		name  string
		fault regtest.Fault
	}{
		{"questions", regtest.Fault{Method: "HEAD", Class: regtest.Manifest}},
		{"uploads", regtest.Fault{Method: "PUT", Class: regtest.Upload}},
		{"manifests", regtest.Fault{Method: "PUT", Class: regtest.Manifest}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reg := startRegistry(t)
			m := newMeeting(jobs)
			tt.fault.Do = m.hold
			reg.Inject(tt.fault)
			o := onto(reg, trust.TrustAnyone())
			o.Jobs = jobs
			mustImport(t, file, o)
			m.check(t)
		})
	}
}

// A visited registry knows how its clients come.
type visited struct {
	*regtest.Registry
	mu          sync.Mutex
	connections map[string]int // requests by the address at the other end
	http1       []string       // requests that came by HTTP/1
}

func startVisited(t *testing.T, o regtest.Options) *visited {
	t.Helper()
	v := &visited{connections: make(map[string]int)}
	o.Wrap = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v.mu.Lock()
			v.connections[r.RemoteAddr]++
			if r.ProtoMajor < 2 {
				v.http1 = append(v.http1, r.Method+" "+r.URL.Path)
			}
			v.mu.Unlock()
			next.ServeHTTP(w, r)
		})
	}
	reg, err := regtest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	v.Registry = reg
	return v
}

// Connections are used again, and HTTP/2 is spoken where it is offered, also
// where the certificate is not checked.
func TestConnections(t *testing.T) {
	const jobs, images = 3, 12
	for name, o := range map[string]regtest.Options{
		"plain": {}, "TLS": {TLS: true}, "HTTP/2": {TLS: true, HTTP2: true},
	} {
		t.Run(name, func(t *testing.T) {
			pub, priv := startVisited(t, o), startVisited(t, o)
			reach := RegistryOptions{InsecureSkipTLS: []string{pub.Host(), priv.Host()}}
			if !o.TLS {
				reach = RegistryOptions{PlainHTTP: []string{pub.Host(), priv.Host()}}
			}
			e := ExportOptions{Unsigned: true, Jobs: jobs, Output: filepath.Join(t.TempDir(), "x.tar"), Registry: reach}
			for i := range int64(images) {
				ref := fmt.Sprintf("acme/app-%d:1", i)
				pushImage(t, pub.Registry, ref, small(i))
				e.Images = append(e.Images, pub.Host()+"/"+ref)
			}
			r := mustExport(t, e)
			i := onto(priv.Registry, trust.TrustAnyone())
			i.RegistryOptions, i.Jobs = reach, jobs
			mustImport(t, r.Output, i)
			for what, v := range map[string]*visited{"export": pub, "import": priv} {
				// One may be dialed in vain, while another becomes free.
				if n := len(v.connections); n > 2*jobs {
					t.Errorf("%s: %d connections for %d requests, want at most %d", what, n, len(v.Log.Requests()), 2*jobs)
				}
				if o.HTTP2 && len(v.http1) > 0 {
					t.Errorf("%s: %d requests by HTTP/1: %q", what, len(v.http1), v.http1)
				}
			}
		})
	}
}
