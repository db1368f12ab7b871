package chart

import (
	"context"
	"errors"
	"fmt"
	"runtime/metrics"
	"time"
)

// Limits of one render. A template cannot be interrupted: a render that passes
// one is given up, and the caller should soon end the process. Variables for
// the tests.
var (
	watchInterval   = 20 * time.Millisecond
	maxRenderTime   = time.Minute
	maxRenderMemory = int64(1 << 30)   // bytes that live on the heap beyond what did before
	maxRenderStack  = int64(300 << 20) // bytes of stacks beyond; Go ends the process at a GB for one
)

// A LimitError is a render that was given up.
type LimitError struct {
	Chart string
	What  string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("chart %s: its templates took %s, and were given up", e.Chart, e.What)
}

// Stopped is the error of work on the named chart that ended with ctx: a
// *LimitError where that is the cause.
func Stopped(ctx context.Context, name string) error {
	var limit *LimitError
	if errors.As(context.Cause(ctx), &limit) {
		return limit
	}
	return fmt.Errorf("render chart %s: %w", name, ctx.Err())
}

// await waits for the render of the named chart, within the limits.
func await[T any](ctx context.Context, name string, done <-chan T) (result T, err error) {
	heap, stack := memory()
	start := time.Now()
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case result = <-done:
			return result, nil
		case <-ctx.Done():
			return result, Stopped(ctx, name)
		case <-tick.C:
			if time.Since(start) > maxRenderTime {
				return result, &LimitError{name, "more than " + maxRenderTime.String()}
			}
			nowHeap, nowStack := memory()
			if nowHeap-heap > maxRenderMemory {
				return result, &LimitError{name, fmt.Sprintf("more than %d MiB of memory", maxRenderMemory>>20)}
			}
			if nowStack-stack > maxRenderStack {
				return result, &LimitError{name, fmt.Sprintf("more than %d MiB of memory in recursion", maxRenderStack>>20)}
			}
		}
	}
}

// memory is the number of bytes in objects, dead ones that are not yet swept
// included, and in stacks.
func memory() (heap, stack int64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64()), int64(sample[1].Value.Uint64())
}
