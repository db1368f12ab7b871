package emit

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/input"
)

// A RewriteMap maps references, exactly as a chart writes them, to others. It
// is what import emits for what values cannot move, and what PostRender reads:
// one line "OLD NEW" for each, # begins a comment.
type RewriteMap map[string]string

// ParseRewriteMap reads a map; name stands in errors.
func ParseRewriteMap(b []byte, name string) (RewriteMap, error) {
	m := make(RewriteMap)
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 2 {
			return nil, &fault.ConfigError{File: name, Line: n, What: "want two references, the old and the new"}
		}
		if old, ok := m[words[0]]; ok && old != words[1] {
			return nil, &fault.ConfigError{File: name, Line: n, What: words[0] + " is mapped twice"}
		}
		m[words[0]] = words[1]
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// Format writes the map, sorted.
func (m RewriteMap) Format() []byte {
	var b bytes.Buffer
	for _, old := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s %s\n", old, m[old])
	}
	return b.Bytes()
}

// token is a run of characters that references are made of, with what stands
// before it on its line.
var token = regexp.MustCompile(`[A-Za-z0-9][-A-Za-z0-9._/:@]*`)

// imageField ends where the value of an image field begins.
var imageField = regexp.MustCompile(`(?i)image"?\s*:\s*["']?$`)

// Rewrite replaces references in manifests, and leaves every other byte as it
// is. A reference is replaced only where it stands alone: ghcr.io/a/b:1 does
// not match inside mirror/ghcr.io/a/b:1 or ghcr.io/a/b:1.2. One without
// registry, path, tag and digest is an ordinary word, and replaced only as the
// value of an image field.
func (m RewriteMap) Rewrite(text []byte) []byte {
	var out []byte
	done := 0
	for _, at := range token.FindAllIndex(text, -1) {
		start, end := at[0], at[1]
		word := string(text[start:end])
		for _, scheme := range []string{"oci://", "docker://"} {
			if rest, ok := strings.CutPrefix(word, scheme); ok {
				start, word = start+len(scheme), rest
			}
		}
		word = strings.TrimRight(word, ".:/@-")
		target, ok := m[word]
		if !ok || start > 0 && strings.IndexByte("/@:.-_", text[start-1]) >= 0 && start == at[0] {
			continue
		}
		if !strings.ContainsAny(word, "/:@") && !imageField.Match(text[lineStart(text, start):start]) {
			continue
		}
		out = append(out, text[done:start]...)
		out = append(out, target...)
		done = start + len(word)
	}
	return append(out, text[done:]...)
}

func lineStart(text []byte, at int) int { return bytes.LastIndexByte(text[:at], '\n') + 1 }

// Bounds of what a post-renderer reads, in bytes.
const (
	maxMap       = 64 << 20
	maxManifests = 1 << 30
)

// PostRender is a Helm post-renderer: it reads manifests, rewrites the
// references of the map file, and writes the result.
func PostRender(ctx context.Context, in io.Reader, out io.Writer, mapFile string) error {
	b, err := input.File(ctx, mapFile, maxMap)
	if err != nil {
		return fmt.Errorf("rewrite map: %w", err)
	}
	m, err := ParseRewriteMap(b, mapFile)
	if err != nil {
		return err
	}
	manifests, err := io.ReadAll(io.LimitReader(in, maxManifests+1))
	if err == nil && len(manifests) > maxManifests {
		err = fmt.Errorf("more than %d bytes", maxManifests)
	}
	if err != nil {
		return fmt.Errorf("manifests on standard input: %w", err)
	}
	if _, err := out.Write(m.Rewrite(manifests)); err != nil {
		return fmt.Errorf("manifests on standard output: %w", err)
	}
	return nil
}
