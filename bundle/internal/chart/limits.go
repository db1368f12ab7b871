package chart

import (
	"context"
	"fmt"
	"runtime/metrics"
	"time"
)

// Limits of one render. A template cannot be interrupted: a render that passes
// one is given up, and the caller should soon end the process. Variables for
// the tests.
var (
	maxRenderTime   = time.Minute
	maxRenderMemory = int64(1 << 30) // bytes that live on the heap beyond what did before
)

// A LimitError is a render that was given up.
type LimitError struct {
	Chart string
	What  string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("chart %s: its templates took %s, and were given up", e.Chart, e.What)
}

// await waits for the render of the named chart, within the limits.
func await[T any](ctx context.Context, name string, done <-chan T) (result T, err error) {
	const interval = 20 * time.Millisecond
	before, start := heap(), time.Now()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case result = <-done:
			return result, nil
		case <-ctx.Done():
			return result, fmt.Errorf("render chart %s: %w", name, ctx.Err())
		case <-tick.C:
			if time.Since(start) > maxRenderTime {
				return result, &LimitError{name, "more than " + maxRenderTime.String()}
			}
			if heap()-before > maxRenderMemory {
				return result, &LimitError{name, fmt.Sprintf("more than %d MiB of memory", maxRenderMemory>>20)}
			}
		}
	}
}

// heap is the number of bytes in objects, dead ones that are not yet swept
// included.
func heap() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
