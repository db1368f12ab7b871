package regtest

import (
	"net/http"
	"strings"
	"sync"
)

// Class says what a request is about.
type Class string

// The classes of the distribution API, by path.
const (
	Base      Class = "base"      // /v2/
	Manifest  Class = "manifest"  // /v2/<name>/manifests/<reference>
	Blob      Class = "blob"      // /v2/<name>/blobs/<digest>
	Upload    Class = "upload"    // /v2/<name>/blobs/uploads/…
	Tags      Class = "tags"      // /v2/<name>/tags/list
	Referrers Class = "referrers" // /v2/<name>/referrers/<digest>
	Token     Class = "token"     // the token server
	Other     Class = "other"
)

func classOf(path string) Class {
	switch {
	case path == "/v2/" || path == "/v2":
		return Base
	case path == tokenPath:
		return Token
	case strings.Contains(path, "/blobs/uploads"):
		return Upload
	case strings.Contains(path, "/blobs/"):
		return Blob
	case strings.Contains(path, "/manifests/"):
		return Manifest
	case strings.HasSuffix(path, "/tags/list"):
		return Tags
	case strings.Contains(path, "/referrers/"):
		return Referrers
	}
	return Other
}

// Request is one request that a registry received.
type Request struct {
	Method string
	Path   string
	Class  Class
	Status int // of the response; 0 when the connection was cut before one
	Header http.Header
}

// Log holds the requests a registry received, in the order of their arrival.
type Log struct {
	mu       sync.Mutex
	requests []*Request
}

// Requests returns what was received so far.
func (l *Log) Requests() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Request, len(l.requests))
	for i, r := range l.requests {
		all[i] = *r
	}
	return all
}

// Count is the number of requests with this method and class; "" matches any.
func (l *Log) Count(method string, class Class) int {
	n := 0
	for _, r := range l.Requests() {
		if (method == "" || r.Method == method) && (class == "" || r.Class == class) {
			n++
		}
	}
	return n
}

// Reset forgets all requests.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = nil
}

// ownHeader marks the Registry's own requests where they travel over the network.
const ownHeader = "X-Regtest-Own"

// record adds every request to the log as it arrives, and its status later.
func (l *Log) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get(ownHeader) != "" {
			next.ServeHTTP(w, req)
			return
		}
		entry := &Request{
			Method: req.Method, Path: req.URL.Path, Class: classOf(req.URL.Path), Header: req.Header.Clone(),
		}
		l.mu.Lock()
		l.requests = append(l.requests, entry)
		l.mu.Unlock()
		next.ServeHTTP(&statusWriter{ResponseWriter: w, answered: func(status int) {
			l.mu.Lock()
			defer l.mu.Unlock()
			if entry.Status == 0 {
				entry.Status = status
			}
		}}, req)
	})
}

// statusWriter tells the status code before it is sent.
type statusWriter struct {
	http.ResponseWriter
	answered func(status int)
	wrote    bool
}

func (w *statusWriter) WriteHeader(status int) {
	w.wrote = true
	w.answered(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
