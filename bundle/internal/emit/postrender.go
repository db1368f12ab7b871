package emit

import (
	"context"
	"fmt"
	"io"

	"bundle/bundle/internal/input"
	"bundle/bundle/internal/rewrite"
)

// Bounds of what a post-renderer reads, in bytes.
const (
	maxMap       = 64 << 20
	maxManifests = 1 << 30
)

// PostRender is a Helm post-renderer: it reads manifests, rewrites the
// references of the map file, and writes the result. unused are lines of the map
// that matched nothing.
func PostRender(ctx context.Context, in io.Reader, out io.Writer, mapFile string) (unused []string, err error) {
	b, err := input.File(ctx, mapFile, maxMap)
	if err != nil {
		return nil, fmt.Errorf("rewrite map: %w", err)
	}
	m, err := rewrite.Parse(b, mapFile)
	if err != nil {
		return nil, err
	}
	manifests, err := io.ReadAll(io.LimitReader(in, maxManifests+1))
	if err == nil && len(manifests) > maxManifests {
		err = fmt.Errorf("more than %d bytes", maxManifests)
	}
	if err != nil {
		return nil, fmt.Errorf("manifests on standard input: %w", err)
	}
	text, unused := m.Rewrite(manifests)
	if _, err := out.Write(text); err != nil {
		return nil, fmt.Errorf("manifests on standard output: %w", err)
	}
	return unused, nil
}
