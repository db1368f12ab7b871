package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/open"
	placing "bundle/bundle/internal/place"
	"bundle/layout"
)

// Options say how bundles are served. The zero value serves them to everybody.
type Options struct {
	Names  placing.Naming
	Users  *Users                  // who may ask; nil: everybody
	Page   func(w io.Writer) error // writes what people see at /; nil: nothing
	Policy string                  // Content-Security-Policy of the page

	Tell   func(line string) // faults of bundles and of the server; nil: nobody is told
	Access func(line string) // one line a request; nil: none
}

// A Server is a handler that serves bundles.
type Server struct {
	o     Options
	names *names
	graph *graph
	store *store
	count counters
}

// New makes a server. The bundles stay open as long as it is used. A name that would
// stand for two contents is a *ConflictError, or a *place.CollisionError within one
// bundle.
func New(bundles []*open.Bundle, o Options) (*Server, error) {
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	n, err := placeAll(bundles, o.Names)
	if err != nil {
		return nil, err
	}
	g, err := newGraph(bundles, layout.IsManifest)
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, names: n, graph: g}
	s.store = newStore(bundles, func(d digest.Digest, err error) {
		o.Tell(fmt.Sprintf("%s is not served any more: %v", d, err))
	})
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := &response{ResponseWriter: rw, ctl: http.NewResponseController(rw), start: time.Now()}
	s.count.open.Add(1)
	defer func() {
		s.count.done(w)
		if s.o.Access != nil {
			s.o.Access(w.line(r))
		}
	}()
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Docker-Distribution-API-Version", "registry/2.0")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is a bundle: it is read-only")
	case r.URL.Path == "/healthz":
		h.Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "ok\n") //nolint:errcheck // who asks is gone
	case !s.allowed(w, r):
	case r.URL.Path == "/v2" || r.URL.Path == "/v2/":
		answer(w, "application/json", struct{}{})
	case strings.HasPrefix(r.URL.Path, "/v2/"):
		s.api(w, r, strings.TrimPrefix(r.URL.Path, "/v2/"))
	case r.URL.Path == "/metrics":
		s.metrics(w)
	case r.URL.Path == "/" && s.o.Page != nil:
		s.page(w)
	default:
		refuse(w, http.StatusNotFound, "NOT_FOUND", "there is nothing here")
	}
}

// page shows the bundles to people.
func (s *Server) page(w *response) {
	var b bytes.Buffer
	if err := s.o.Page(&b); err != nil {
		s.o.Tell("page: " + err.Error())
		refuse(w, http.StatusInternalServerError, "UNKNOWN", "the page cannot be made")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", s.o.Policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.ReadFrom(&b) //nolint:errcheck // who asks is gone
}

// api answers the distribution API; path is what follows /v2/.
func (s *Server) api(w *response, r *http.Request, path string) {
	if path == "_catalog" {
		s.list(w, r, "", s.names.catalogue())
		return
	}
	repoPath, kind, ref := split(path)
	if kind == "" {
		refuse(w, http.StatusNotFound, "NOT_FOUND", "no such part of the API")
		return
	}
	repo, known := s.names.find(repoPath, r.URL.Query().Get("ns"))
	if !known {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "no such repository in the bundle")
		return
	}
	switch kind {
	case "tags":
		tags := make([]string, 0, len(repo))
		for t := range repo {
			tags = append(tags, t)
		}
		slices.Sort(tags)
		s.list(w, r, repoPath, tags)
	case "manifests":
		s.manifest(w, r, repo, ref)
	case "blobs":
		s.blob(w, r, ref)
	case "referrers":
		s.referrers(w, r, ref)
	}
}

// split takes a path apart into the name of a repository, the kind of thing and which.
func split(path string) (repo, kind, ref string) {
	if repo, ok := strings.CutSuffix(path, "/tags/list"); ok {
		return repo, "tags", ""
	}
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", "", ""
	}
	before, ref := path[:i], path[i+1:]
	for _, kind := range []string{"manifests", "blobs", "referrers"} {
		if repo, ok := strings.CutSuffix(before, "/"+kind); ok && repo != "" && ref != "" {
			return repo, kind, ref
		}
	}
	return "", "", ""
}

func (s *Server) manifest(w *response, r *http.Request, repo repository, ref string) {
	d, tagged := repo[ref]
	if !tagged {
		d = digest.Digest(ref)
		if strings.ContainsRune(ref, ':') && d.Validate() != nil {
			refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "no valid digest")
			return
		}
	}
	desc, known := s.graph.manifests[d]
	at, _, there := s.store.find(d)
	if !known || !there {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "no such manifest in the bundle, or it is damaged")
		return
	}
	b, err := s.store.document(at)
	if err != nil {
		s.failed(w, err, "MANIFEST_UNKNOWN")
		return
	}
	head(w, desc.MediaType, d, !tagged)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

func (s *Server) blob(w *response, r *http.Request, ref string) {
	d := digest.Digest(ref)
	if d.Validate() != nil {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "no valid digest")
		return
	}
	at, size, there := s.store.find(d)
	if !there || s.graph.private[d] {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "no such blob in the bundle, or it is damaged, left out by a delta, or on a medium that is not here")
		return
	}
	c := s.store.whole(at, size)
	if r.Header.Get("Range") != "" && r.Method == http.MethodGet {
		var err error
		if c, err = s.store.part(r.Context(), at, size); err != nil {
			s.failed(w, err, "BLOB_UNKNOWN")
			return
		}
	}
	defer c.close()
	head(w, "application/octet-stream", d, true)
	http.ServeContent(w, r, "", time.Time{}, c)
	if c.err != nil {
		s.unread(c.err)
		w.broken = true
		panic(http.ErrAbortHandler) // the client must not take it for whole
	}
}

// failed answers for a document that cannot be had.
func (s *Server) failed(w *response, err error, code string) {
	var unread *layout.ReadError
	switch {
	case errors.As(err, &unread):
		s.unread(err)
		refuse(w, http.StatusInternalServerError, "UNKNOWN", "the medium cannot be read there")
	default:
		refuse(w, http.StatusNotFound, code, "it is damaged in the bundle")
	}
}

// unread tells of a medium that cannot be read. Damage is told by the store.
func (s *Server) unread(err error) {
	var unread *layout.ReadError
	if errors.As(err, &unread) {
		s.o.Tell(err.Error())
	}
}

// referrers lists what is attached to a manifest.
func (s *Server) referrers(w *response, r *http.Request, ref string) {
	subject := digest.Digest(ref)
	if subject.Validate() != nil {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "no valid digest")
		return
	}
	want := r.URL.Query().Get("artifactType")
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	for _, d := range s.graph.attached[subject] {
		at, _, there := s.store.find(d.Digest)
		if !there {
			continue
		}
		b, err := s.store.document(at)
		if err != nil {
			s.unread(err)
			continue
		}
		if describe(&d, b) && (want == "" || want == d.ArtifactType) {
			index.Manifests = append(index.Manifests, d)
		}
	}
	if want != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	answer(w, ocispec.MediaTypeImageIndex, index)
}

// describe adds to a descriptor what a list of referrers says of it
// (distribution-spec, "Listing Referrers").
func describe(d *ocispec.Descriptor, manifest []byte) bool {
	var m struct {
		ArtifactType string              `json:"artifactType"`
		Config       *ocispec.Descriptor `json:"config"`
		Annotations  map[string]string   `json:"annotations"`
	}
	if json.Unmarshal(manifest, &m) != nil {
		return false
	}
	if d.ArtifactType, d.Annotations = m.ArtifactType, m.Annotations; d.ArtifactType == "" && m.Config != nil {
		d.ArtifactType = m.Config.MediaType
	}
	return true
}

// list answers with tags or, without a repository, repositories: n of them after
// last, all where n is absent.
func (s *Server) list(w *response, r *http.Request, repo string, all []string) {
	q := r.URL.Query()
	rest := all
	if last := q.Get("last"); last != "" {
		i, found := slices.BinarySearch(rest, last)
		if found {
			i++
		}
		rest = rest[i:]
	}
	if raw := q.Get("n"); raw != "" {
		n, err := strconv.Atoi(raw)
		if err != nil || n < 0 {
			refuse(w, http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "n is no number of entries")
			return
		}
		if n > 0 && n < len(rest) {
			next := url.Values{"n": {raw}, "last": {rest[n-1]}}
			if ns := q.Get("ns"); ns != "" {
				next.Set("ns", ns)
			}
			w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", (&url.URL{Path: r.URL.Path}).EscapedPath(), next.Encode()))
		}
		rest = rest[:min(n, len(rest))]
	}
	if repo == "" {
		answer(w, "application/json", struct {
			Repositories []string `json:"repositories"`
		}{append([]string{}, rest...)})
		return
	}
	answer(w, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{repo, append([]string{}, rest...)})
}

// head sets the headers of content that has a digest. What is asked for by it never
// changes.
func head(w *response, mediaType string, d digest.Digest, fixed bool) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Docker-Content-Digest", d.String())
	h.Set("ETag", `"`+d.String()+`"`)
	if fixed {
		h.Set("Cache-Control", "max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
}

func answer(w *response, mediaType string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", "the answer cannot be written")
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b) //nolint:errcheck // who asks is gone
}

// refuse answers with an error as the distribution API has it.
func refuse(w *response, status int, code, message string) {
	type fault struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	b, _ := json.Marshal(struct {
		Errors []fault `json:"errors"`
	}{[]fault{{code, message}}})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	w.Write(b) //nolint:errcheck // who asks is gone
}
