package transfer

import (
	"runtime"
	"testing"
)

// The buffers of a stream are used again: memory does not grow with what passes.
func TestStreamBuffers(t *testing.T) {
	var before, after runtime.MemStats
	b := &aheadBlob{chunks: make(chan []byte)}
	buf := make([]byte, chunkSize)
	pass := func(n int) {
		for range n {
			go func() { b.chunks <- chunks.Get().(*[chunkSize]byte)[:] }()
			if _, err := b.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
	}
	pass(10)
	runtime.ReadMemStats(&before)
	pass(1000)
	runtime.ReadMemStats(&after)
	// The pool is emptied by the garbage collector, and forgets at random under
	// the race detector.
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1000*chunkSize/2 {
		t.Errorf("%d bytes were allocated for 1000 chunks", grown)
	}
}
