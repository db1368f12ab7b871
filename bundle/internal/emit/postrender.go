package emit

import (
	"context"
	"fmt"
	"io"

	"bundle/bundle/internal/input"
	"bundle/bundle/internal/rewrite"
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
	if err != nil {
		return nil, fmt.Errorf("manifests on standard input: %w", err)
	}
	if len(manifests) > maxManifests {
		return nil, fmt.Errorf("manifests on standard input: more than %d MiB", maxManifests>>20)
	}
	text, unused := m.Rewrite(manifests)
	if _, err := out.Write(text); err != nil {
		return nil, fmt.Errorf("manifests on standard output: %w", err)
	}
	return unused, nil
}

// Bounds of what is read, in bytes: Helm keeps a release in a Secret of 1 MiB.
const (
	maxMap       = 64 << 20
	maxManifests = 512 << 20
)
