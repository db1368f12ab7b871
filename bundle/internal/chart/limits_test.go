package chart

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// A chart whose templates loop or explode is given up, not waited for.
func TestRenderLimits(t *testing.T) {
	oldTime, oldMemory := maxRenderTime, maxRenderMemory
	defer func() { maxRenderTime, maxRenderMemory = oldTime, oldMemory }()
	for _, tc := range []struct {
		name, template, what string
		time                 time.Duration
		memory               int64
	}{
		{"loops", `{{ range until 3000 }}{{ range until 3000 }}{{ end }}{{ end }}`, "more than 50ms", 50 * time.Millisecond, 1 << 40},
		{"explodes", `{{ range until 300 }}{{ repeat 1000000 "x" }}{{ end }}`, "more than 16 MiB", time.Hour, 16 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			maxRenderTime, maxRenderMemory = tc.time, tc.memory
			c := open(t, files{"templates/x.yaml": tc.template})
			_, err := c.Render(context.Background(), RenderOptions{})
			var limit *LimitError
			if !errors.As(err, &limit) || !strings.Contains(limit.What, tc.what) {
				t.Errorf("error %v, want a LimitError: %s", err, tc.what)
			}
		})
	}
}
