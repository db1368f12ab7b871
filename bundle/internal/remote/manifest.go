package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// maxManifest is the size of a manifest up to which it is read, in bytes. The
// specification asks registries to take 4 MiB.
const maxManifest = 8 << 20

// Media types of the Docker manifests that are understood besides OCI's.
const (
	mediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaTypeDockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
)

var manifestTypes = []string{
	ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, mediaTypeDockerManifest, mediaTypeDockerIndex,
}

// schema1 media types say nothing about content digests and end pulls today.
var schema1Types = []string{
	"application/vnd.docker.distribution.manifest.v1+json", "application/vnd.docker.distribution.manifest.v1+prettyjws",
}

// Resolve fetches the manifest or index that ref names by tag or digest, and
// returns its descriptor (media type, digest, size) and exact bytes. They agree
// with each other, with the digest in ref, and with the registry's headers.
func (c *Client) Resolve(ctx context.Context, ref string) (ocispec.Descriptor, []byte, error) {
	r, tag, err := c.split(ref)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	var desc ocispec.Descriptor
	var data []byte
	err = r.retry(ctx, "resolve", ref, func(ctx context.Context) error {
		desc, data, err = r.fetchManifest(ctx, tag, maxManifest)
		return err
	})
	return desc, data, err
}

// Manifest fetches the manifest or index that d describes. The bytes have d's
// digest, size and media type.
func (c *Client) Manifest(ctx context.Context, repo string, d ocispec.Descriptor) ([]byte, error) {
	r, err := c.repository(repo)
	if err != nil {
		return nil, err
	}
	op, subject := "pull manifest", repo+"@"+d.Digest.String()
	if err := checkDescriptor(d); err != nil {
		return nil, r.fail(op, subject, 0, err)
	}
	if d.Size > maxManifest {
		return nil, r.fail(op, subject, 0, refuse("manifest of %d bytes is larger than %d", d.Size, maxManifest))
	}
	var data []byte
	err = r.retry(ctx, op, subject, func(ctx context.Context) error {
		got, b, err := r.fetchManifest(ctx, d.Digest.String(), d.Size)
		switch {
		case err != nil:
			return err
		case got.Size != d.Size:
			return refuse("manifest has %d bytes, its descriptor says %d", got.Size, d.Size)
		case d.MediaType != "" && got.MediaType != d.MediaType:
			return refuse("manifest is %s, its descriptor says %s", got.MediaType, d.MediaType)
		}
		data = b
		return nil
	})
	return data, err
}

// checkDescriptor refuses digests and sizes that cannot be asked for.
func checkDescriptor(d ocispec.Descriptor) error {
	if err := d.Digest.Validate(); err != nil {
		return refuse("digest %q: %v", d.Digest, err)
	}
	if d.Size < 0 {
		return refuse("negative size %d", d.Size)
	}
	return nil
}

// fetchManifest gets a manifest by tag or digest once.
func (r *repository) fetchManifest(ctx context.Context, tag string, limit int64) (ocispec.Descriptor, []byte, error) {
	ctx = r.scoped(ctx, auth.ActionPull)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("manifests/"+tag), nil)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	req.Header.Set("Accept", strings.Join(manifestTypes, ", "))
	resp, err := r.http.Do(req)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return ocispec.Descriptor{}, nil, newStatusError(resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	if int64(len(data)) > limit {
		return ocispec.Descriptor{}, nil, refuse("manifest is larger than %d bytes", limit)
	}
	mediaType, err := manifestType(resp.Header.Get("Content-Type"), data)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	for _, want := range []string{tag, resp.Header.Get("Docker-Content-Digest")} {
		if err := checkDigest(want, data); err != nil {
			return ocispec.Descriptor{}, nil, err
		}
	}
	data = bytes.Clone(data) // many are kept: without the room that reading left
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}, data, nil
}

// checkDigest compares data with want where want is a digest.
func checkDigest(want string, data []byte) error {
	if !strings.Contains(want, ":") {
		return nil // a tag, or no header
	}
	d, err := digest.Parse(want)
	if err != nil {
		return refuse("digest %q: %v", printable(want), err)
	}
	if got := d.Algorithm().FromBytes(data); got != d {
		return refuse("manifest has digest %s, want %s", got, d)
	}
	return nil
}

// manifestType finds the media type of a manifest from the Content-Type header
// and the document itself, which must not contradict each other: a client that
// believes the one and a client that believes the other would run different
// things under one digest (CVE-2021-41190).
func manifestType(contentType string, data []byte) (string, error) {
	header, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		header = ""
	}
	var doc struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
		Layers        json.RawMessage `json:"layers"`
		Config        json.RawMessage `json:"config"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		if header == "text/html" || bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) {
			return "", &policyError{Msg: "got an HTML page instead of a manifest", Hint: hintHTML}
		}
		return "", refuse("manifest is not JSON: %v", err)
	}
	if slices.Contains(schema1Types, header) || slices.Contains(schema1Types, doc.MediaType) || doc.SchemaVersion == 1 {
		return "", &policyError{
			Msg:  "image has a manifest of Docker's schema 1, which is obsolete",
			Hint: "push the image again with a current tool",
		}
	}
	got := doc.MediaType
	switch {
	case slices.Contains(manifestTypes, header) && got != "" && got != header:
		return "", refuse("manifest says that it is %s, the registry that it is %s", printable(got), header)
	case got == "":
		got = header
	}
	if !slices.Contains(manifestTypes, got) {
		return "", refuse("media type %q is not that of a manifest", printable(got))
	}
	isIndex := got == ocispec.MediaTypeImageIndex || got == mediaTypeDockerIndex
	if isIndex && (doc.Layers != nil || doc.Config != nil) || !isIndex && doc.Manifests != nil {
		return "", refuse("manifest is ambiguous: %s with the fields of the other kind", got)
	}
	return got, nil
}

// HasManifest asks for a tag or digest and returns the digest it has there, or
// false when the repository has no such manifest (or does not exist).
func (c *Client) HasManifest(ctx context.Context, repo, ref string) (digest.Digest, bool, error) {
	r, err := c.repository(repo)
	if err != nil {
		return "", false, err
	}
	var got digest.Digest
	subject := repo + separator(ref) + ref
	err = r.retry(ctx, "look up", subject, func(ctx context.Context) error {
		got, err = r.headManifest(ctx, ref)
		return err
	})
	var e *Error
	if errors.As(err, &e) && e.Kind == NotFound {
		return "", false, nil
	}
	return got, err == nil, err
}

// separator stands between a repository and a tag or digest.
func separator(ref string) string {
	if strings.Contains(ref, ":") {
		return "@"
	}
	return ":"
}

func (r *repository) headManifest(ctx context.Context, ref string) (digest.Digest, error) {
	req, err := http.NewRequestWithContext(r.scoped(ctx, auth.ActionPull), http.MethodHead, r.url("manifests/"+ref), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", strings.Join(manifestTypes, ", "))
	resp, err := r.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	header := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	switch {
	case resp.StatusCode == http.StatusOK && header.Validate() == nil:
		return header, nil
	case resp.StatusCode == http.StatusOK, noAnswer(resp.StatusCode):
		desc, _, err := r.fetchManifest(ctx, ref, maxManifest)
		return desc.Digest, err
	}
	return "", newStatusError(resp)
}
