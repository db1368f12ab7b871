package source

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/input"
)

// LoadList reads a list of images: a plain one, or that of another tool, as
// [LoadConfig] does. What that has besides images is named.
func LoadList(ctx context.Context, path string) (images, notTaken []string, err error) {
	b, err := input.File(ctx, path, maxConfig)
	if err != nil {
		return nil, nil, fmt.Errorf("list of images: %w", err)
	}
	c, foreign, err := parseForeign(b, path)
	if !foreign {
		images, err = parseList(b, path)
		return images, nil, err
	}
	if err != nil {
		return nil, nil, err
	}
	for _, im := range c.Images {
		images = append(images, im.Source)
	}
	if n := len(c.Charts); n > 0 {
		c.NotTaken = append(c.NotTaken, fmt.Sprintf("%s: not taken: charts (%d): --config takes them too", path, n))
	}
	if len(c.Platforms) > 0 {
		c.NotTaken = append(c.NotTaken, path+": not taken: the platform: --config takes it too")
	}
	return images, c.NotTaken, nil
}

// parseList reads a plain list of images: one a line, as --image takes them; empty
// lines and what follows a # that begins a line, or stands after a space, are
// left out. file stands in errors.
func parseList(b []byte, file string) ([]string, error) {
	var all []string
	n := 0
	for line := range bytes.Lines(bytes.TrimPrefix(b, []byte("\ufeff"))) {
		n++
		text := string(line)
		if i := strings.IndexByte(text, '#'); i >= 0 && strings.TrimSpace(text[:i]) == "" {
			text = ""
		}
		if i := strings.Index(text, " #"); i >= 0 {
			text = text[:i]
		}
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		if strings.ContainsAny(text, " \t\x00") {
			return nil, &fault.UsageError{
				What:   fmt.Sprintf("%s: line %d: %.100q is not one image", file, n, text),
				Advice: "a list has one reference a line; what follows a # is left out",
			}
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return nil, &fault.UsageError{What: file + ": there is no image in it"}
	}
	return all, nil
}
