package chart

import (
	"io"
	"log"
	"runtime"
	"strings"
	"sync"
)

// Helm's loader, coalescing and engine print warnings through the standard logger, and
// there is no way to hand them another one. So while at least one call into Helm is
// under way, the standard logger writes through a filter, which drops what Helm says
// and passes on what the rest of the process does. This is the only place that touches it.
var quiet struct {
	sync.Mutex
	users  int
	filter *notHelm
}

// silence keeps Helm from the standard logger until the returned function is called.
func silence() (restore func()) {
	quiet.Lock()
	defer quiet.Unlock()
	if w := log.Writer(); w != quiet.filter {
		quiet.filter = &notHelm{w}
		log.SetOutput(quiet.filter)
	}
	quiet.users++
	return func() {
		quiet.Lock()
		defer quiet.Unlock()
		// Where somebody has set another writer meanwhile, that one stays.
		if quiet.users--; quiet.users == 0 && log.Writer() == quiet.filter {
			log.SetOutput(quiet.filter.rest)
		}
	}
}

// notHelm is a writer of the standard logger that drops what Helm prints.
type notHelm struct{ rest io.Writer }

func (w *notHelm) Write(b []byte) (int, error) {
	if helmPrints() {
		return len(b), nil
	}
	return w.rest.Write(b)
}

// helmPrints reports whether whoever called package log is Helm.
func helmPrints() bool {
	callers := make([]uintptr, 8)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)]) // from who called Write
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "log.") {
			return strings.HasPrefix(f.Function, "helm.sh/")
		}
		if !more {
			return false
		}
	}
}
