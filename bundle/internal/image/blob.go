package image

import (
	"context"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/remote"
)

// FetchBlob reads a small blob whole and checks it.
func FetchBlob(ctx context.Context, c *remote.Client, repo string, d ocispec.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, fmt.Errorf("%s: blob %s has %d bytes, more than the %d allowed for a %s", repo, d.Digest, d.Size, limit, d.MediaType)
	}
	rc, err := c.Blob(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	b, err := io.ReadAll(io.LimitReader(rc, d.Size+1))
	if err != nil {
		return nil, remote.About(repo, err)
	}
	if err := checkBytes(d, b); err != nil {
		return nil, fmt.Errorf("%s: %w", repo, err)
	}
	return b, nil
}

// readFiles is FetchBlob for an image in files.
func readFiles(f Files, d ocispec.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, fmt.Errorf("blob %s has %d bytes, more than the %d allowed for a %s", d.Digest, d.Size, limit, d.MediaType)
	}
	rc, err := f.Open(d, 0)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	defer rc.Close()
	b, err := io.ReadAll(io.LimitReader(rc, d.Size+1))
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	return b, checkBytes(d, b)
}

func checkBytes(d ocispec.Descriptor, b []byte) error {
	if int64(len(b)) != d.Size {
		return fmt.Errorf("blob %s: got %d bytes, want %d", d.Digest, len(b), d.Size)
	}
	if got := d.Digest.Algorithm().FromBytes(b); got != d.Digest {
		return fmt.Errorf("blob %s: content has digest %s", d.Digest, got)
	}
	return nil
}
