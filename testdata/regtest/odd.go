package regtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// OnlyRepositories lets only the named repositories exist, as Amazon ECR does: the
// others answer 404 to everything.
func OnlyRepositories(names ...string) Fault {
	return Fault{
		Match: func(r *http.Request) bool {
			repo := repositoryOf(r)
			return repo != "" && !slices.Contains(names, repo)
		},
		Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			Says(http.StatusNotFound, "NAME_UNKNOWN", fmt.Sprintf("The repository with name '%s' does not exist", repositoryOf(r)))(w, r, next)
		},
	}
}

// MaxDepth refuses paths of more than n parts with a status.
func MaxDepth(n, status int) Fault {
	return Fault{
		Match: func(r *http.Request) bool { return strings.Count(repositoryOf(r), "/") >= n },
		Do:    Says(status, "UNAUTHORIZED", "access to the requested resource is not authorized"),
	}
}

// RefuseManifests refuses the PUT of manifests that match.
func RefuseManifests(status int, match func(m ocispec.Manifest) bool) Fault {
	return Fault{
		Method: http.MethodPut, Class: Manifest,
		Match: func(r *http.Request) bool {
			body, err := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			var m ocispec.Manifest
			return err == nil && json.Unmarshal(body, &m) == nil && match(m)
		},
		Do: Says(status, "MANIFEST_INVALID", "manifest invalid"),
	}
}

// ImmutableTags refuses to push a tag that exists, also what it stands for.
func ImmutableTags(status int) Fault {
	return Fault{
		Method: http.MethodPut, Class: Manifest,
		Match: func(r *http.Request) bool { return !strings.Contains(r.URL.Path, "/manifests/sha256:") },
		Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			probe := r.Clone(r.Context())
			probe.Method, probe.Body, probe.ContentLength = http.MethodHead, http.NoBody, 0
			probe.Header.Set("Accept", strings.Join([]string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, DockerManifest, DockerIndex}, ", "))
			answer := &probed{header: http.Header{}}
			if next.ServeHTTP(answer, probe); answer.status != http.StatusNotFound {
				Says(status, "TAG_INVALID", "the tag already exists, and the repository is immutable")(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		},
	}
}

// Forget answers as if it had stored what was PUT, and stores nothing.
func Forget(class Class) Fault {
	return Fault{Method: http.MethodPut, Class: class, Do: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", r.URL.Path)
		w.WriteHeader(http.StatusCreated)
	}}
}

// Says answers with an error of the distribution specification.
func Says(status int, code, message string) Injector {
	body, _ := json.Marshal(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}}) // texts only
	return Answer(status, "application/json", string(body))
}

var repositoryPath = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs|tags|referrers)/`)

// repositoryOf is the repository that a request is about, or empty.
func repositoryOf(r *http.Request) string {
	if m := repositoryPath.FindStringSubmatch(r.URL.Path); m != nil {
		return m[1]
	}
	return ""
}

// probed keeps the status of an answer.
type probed struct {
	header http.Header
	status int
}

func (p *probed) Header() http.Header         { return p.header }
func (p *probed) Write(b []byte) (int, error) { return len(b), nil }
func (p *probed) WriteHeader(status int)      { p.status = status }
