package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// progressBytes is how much has to arrive for a connection to count as useful;
// with less, a peer that drips and drops could keep an operation alive for ever.
const progressBytes = 64 << 10

// HasBlob asks whether a repository has a blob.
func (c *Client) HasBlob(ctx context.Context, repo string, d ocispec.Descriptor) (bool, error) {
	r, err := c.repository(repo)
	if err != nil {
		return false, err
	}
	return r.hasBlob(r.scoped(ctx, auth.ActionPull), d)
}

// HasSized is HasBlob for one that has to have d's size, too, as far as the registry
// says which it has.
func (c *Client) HasSized(ctx context.Context, repo string, d ocispec.Descriptor) (bool, error) {
	r, err := c.repository(repo)
	if err != nil {
		return false, err
	}
	size, has, err := r.sizeOfBlob(r.scoped(ctx, auth.ActionPull), d)
	return has && (size <= 0 || size == d.Size), err
}

func (r *repository) hasBlob(ctx context.Context, d ocispec.Descriptor) (has bool, err error) {
	_, has, err = r.sizeOfBlob(ctx, d)
	return has, err
}

// sizeOfBlob asks for a blob; size is 0 or less where the registry does not say it.
func (r *repository) sizeOfBlob(ctx context.Context, d ocispec.Descriptor) (size int64, has bool, err error) {
	const op = "look up blob"
	subject := r.name + "@" + d.Digest.String()
	if err := checkDescriptor(d); err != nil {
		return 0, false, r.fail(op, subject, 0, err)
	}
	err = r.retry(ctx, op, subject, func(ctx context.Context) error {
		size, has, err = r.statBlob(ctx, d)
		return err
	})
	return size, has, err
}

// headBlob asks once.
func (r *repository) headBlob(ctx context.Context, d ocispec.Descriptor) (has bool, err error) {
	_, has, err = r.statBlob(ctx, d)
	return has, err
}

func (r *repository) statBlob(ctx context.Context, d ocispec.Descriptor) (size int64, has bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, r.url("blobs/"+d.Digest.String()), nil)
	if err != nil {
		return 0, false, err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return 0, false, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.ContentLength, true, nil
	case http.StatusNotFound:
		return 0, false, nil
	}
	if noAnswer(resp.StatusCode) {
		has, err = r.probeBlob(ctx, d)
		return 0, has, err
	}
	return 0, false, newStatusError(resp)
}

// noAnswer reports whether a status may be that of a server, or of a proxy before
// it, which does not answer HEAD, but may answer GET.
func noAnswer(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// probeBlob finds out whether a blob is there where a HEAD is not answered.
func (r *repository) probeBlob(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("blobs/"+d.Digest.String()), nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("Range", "bytes=0-0")
	resp, err := r.http.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable: // the last one: it is empty
		return true, nil
	case http.StatusNotFound:
		return false, nil
	}
	return false, newStatusError(resp)
}

// Blob opens a blob. Reading yields exactly d.Size bytes and io.EOF, or an
// error; after a broken connection it goes on by itself where it was. Whether the
// bytes have d's digest is for the caller to check. ctx covers the reading, too.
// The reader is for one goroutine; Close ends its connection.
func (c *Client) Blob(ctx context.Context, repo string, d ocispec.Descriptor) (io.ReadCloser, error) {
	return c.BlobRange(ctx, repo, d, BlobRange{To: d.Size})
}

// A BlobRange is a part of a blob: the bytes from From up to To, To not included.
type BlobRange struct {
	From, To int64
	// Strict demands that the registry begins at From by itself: ErrNoRanges where
	// it sends all of the blob. Otherwise what comes before From is skipped.
	Strict bool
}

// ErrNoRanges says that a registry sends blobs only as a whole.
var ErrNoRanges = errors.New("the registry sends blobs only as a whole")

// BlobRange is Blob for a part of a blob.
func (c *Client) BlobRange(ctx context.Context, repo string, d ocispec.Descriptor, part BlobRange) (io.ReadCloser, error) {
	r, err := c.repository(repo)
	if err != nil {
		return nil, err
	}
	retry := c.backoff(r.host)
	ctx = retry.attach(ctx)
	b := &blobReader{
		repo: r, desc: d, retry: retry, offset: part.From, end: part.To,
		get: func(offset int64) (io.ReadCloser, error) {
			return r.openBlob(ctx, d, BlobRange{From: offset, To: part.To, Strict: part.Strict})
		},
	}
	b.again = func(err error) error { return b.retry.again(ctx, err) }
	if err := checkDescriptor(d); err != nil {
		return nil, b.fail(err)
	}
	if part.From < 0 || part.From > part.To || part.To > d.Size {
		return nil, b.fail(refuse("no bytes %d to %d in a blob of %d", part.From, part.To, d.Size))
	}
	if err := b.connect(); err != nil {
		return nil, err
	}
	return b, nil
}

// blobReader reads a blob over as many connections as it takes.
type blobReader struct {
	repo  *repository
	desc  ocispec.Descriptor
	retry *backoff
	get   func(offset int64) (io.ReadCloser, error)
	again func(error) error // pauses; nil: try once more

	body   io.ReadCloser // nil: not connected
	offset int64
	end    int64
	since  int64 // offset at which the connection began
	err    error // sticky
}

// connect opens the blob at the offset, with as many attempts as are left.
func (b *blobReader) connect() error {
	for {
		body, err := b.get(b.offset)
		if err == nil {
			b.body, b.since = body, b.offset
			return nil
		}
		if err := b.again(err); err != nil {
			return b.fail(err)
		}
	}
}

// Read implements io.Reader.
func (b *blobReader) Read(p []byte) (int, error) {
	for b.err == nil {
		if b.body == nil {
			if b.connect() != nil {
				break
			}
		}
		n, err := b.body.Read(p)
		if int64(n) > b.end-b.offset {
			if b.end == b.desc.Size {
				return 0, b.fail(refuse("blob is longer than the %d bytes that its descriptor says", b.desc.Size))
			}
			n, err = int(b.end-b.offset), io.EOF // a registry without ranges goes on to the end
		}
		b.offset += int64(n)
		if err != nil {
			b.broken(err)
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, b.err
}

// broken handles the end of a connection: of the blob, or of this attempt.
func (b *blobReader) broken(err error) {
	_ = b.body.Close() // it has failed or ended already
	b.body = nil
	if b.offset == b.end {
		b.err = io.EOF
		return
	}
	if err == io.EOF {
		err = &netError{Host: b.repo.host, Err: fmt.Errorf("blob ended after %d of %d bytes: %w", b.offset, b.desc.Size, io.ErrUnexpectedEOF)}
	}
	if b.offset-b.since >= progressBytes {
		b.retry.progress()
	}
	if err := b.again(err); err != nil {
		_ = b.fail(err) // kept for the next Read
	}
}

// fail makes err the end of the reader.
func (b *blobReader) fail(err error) error {
	b.err = b.repo.fail("pull blob", b.repo.name+"@"+b.desc.Digest.String(), b.retry.attempts, err)
	return b.err
}

// Close implements io.Closer.
func (b *blobReader) Close() error {
	if b.err == nil {
		b.err = errors.New("read after close")
	}
	if b.body == nil {
		return nil
	}
	err := b.body.Close()
	b.body = nil
	return err
}

// openBlob asks for a part of a blob, once.
func (r *repository) openBlob(ctx context.Context, d ocispec.Descriptor, part BlobRange) (io.ReadCloser, error) {
	ctx = r.scoped(ctx, auth.ActionPull)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("blobs/"+d.Digest.String()), nil)
	if err != nil {
		return nil, err
	}
	if part.From < part.To && (part.From > 0 || part.To < d.Size) {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", part.From, part.To-1))
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	if err := r.checkBlob(resp, d, part); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}

// checkBlob checks that a response holds the part of the blob, and skips to its
// begin when the registry sends all of it.
func (r *repository) checkBlob(resp *http.Response, d ocispec.Descriptor, part BlobRange) error {
	want, skip := d.Size, part.From
	switch resp.StatusCode {
	case http.StatusOK:
		if part.Strict && skip > 0 {
			return ErrNoRanges
		}
	case http.StatusPartialContent:
		got := resp.Header.Get("Content-Range")
		if first, last, ok := parseContentRange(got); !ok || first != part.From || last != part.To-1 {
			return refuse("asked for bytes %d-%d, got Content-Range %q", part.From, part.To-1, printable(got))
		}
		want, skip = part.To-part.From, 0
	default:
		return newStatusError(resp)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != want {
		return refuse("registry sends %d bytes, want %d", resp.ContentLength, want)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, skip); err != nil {
		return &netError{Host: r.host, Err: err}
	}
	return nil
}

// parseContentRange reads "bytes FIRST-LAST/SIZE" (RFC 9110, 14.4); what is said
// of the size is left aside.
func parseContentRange(header string) (first, last int64, ok bool) {
	unit, rest, _ := strings.Cut(header, " ")
	span, _, _ := strings.Cut(rest, "/")
	from, to, _ := strings.Cut(span, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	return first, last, strings.EqualFold(unit, "bytes") && err1 == nil && err2 == nil && 0 <= first && first <= last
}
