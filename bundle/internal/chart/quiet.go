package chart

import (
	"io"
	"log"
	"sync"
)

// Helm's loader, coalescing and engine print warnings through the standard
// logger. There is no way to hand them another one, so while at least one call
// into Helm is under way the standard logger's output is discarded; the last
// call puts the previous writer back. This is the only place that touches it.
var quiet struct {
	sync.Mutex
	users    int
	previous io.Writer
}

// silence discards the standard logger's output until the returned function is
// called.
func silence() (restore func()) {
	quiet.Lock()
	defer quiet.Unlock()
	if w := log.Writer(); w != io.Discard {
		quiet.previous = w
		log.SetOutput(io.Discard)
	}
	quiet.users++
	return func() {
		quiet.Lock()
		defer quiet.Unlock()
		quiet.users--
		if quiet.users == 0 && quiet.previous != nil {
			log.SetOutput(quiet.previous)
			quiet.previous = nil
		}
	}
}
