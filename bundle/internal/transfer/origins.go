package transfer

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/plan"
	"bundle/bundle/internal/remote"
)

// origins are where the blobs of a plan come from: registries, and files.
type origins struct {
	client *remote.Client
	plan   *plan.Plan
}

// inFiles stands for the host of what lies in files: no host is spelled so.
const inFiles = "files:"

// host is the host that has a blob.
func (o origins) host(d digest.Digest) string {
	if o.plan.Local[d] != nil {
		return inFiles
	}
	return o.client.Host(o.plan.From[d])
}

// open reads a part of a blob. Its digest is for the caller to check.
func (o origins) open(ctx context.Context, d ocispec.Descriptor, part remote.BlobRange) (io.ReadCloser, error) {
	f := o.plan.Local[d.Digest]
	if f == nil {
		return o.client.BlobRange(ctx, o.plan.From[d.Digest], d, part)
	}
	rc, err := f.Open(d, part.From)
	if err != nil {
		return nil, err
	}
	return &fileBlob{rc, ctx.Err, part.To - part.From}, nil
}

// about says of an error which blob it is about.
func (o origins) about(d digest.Digest, err error) error {
	if repo := o.plan.From[d]; repo != "" {
		return remote.About(repo, err)
	}
	return fmt.Errorf("blob %s: %w", d, err)
}

// fileBlob is a part of a blob in a file. Like one from a registry, it ends with
// the context, and a file that is too short is an error.
type fileBlob struct {
	io.ReadCloser
	ended func() error
	left  int64
}

func (b *fileBlob) Read(p []byte) (int, error) {
	if err := b.ended(); err != nil {
		return 0, err
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
