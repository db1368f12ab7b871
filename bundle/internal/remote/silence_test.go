package remote_test

import (
	"net/http"
	"sync"
	"time"

	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

// A silence is a clock that goes only while a registry does something that is too slow,
// and then faster than others: no exchange that goes well takes too long by it, on however
// busy a machine, and one that does not is soon over.
type silence struct {
	mu     sync.Mutex
	at     time.Duration
	timers map[*silenceTimer]time.Duration // those that run, and until when
}

type silenceTimer struct {
	clock *silence
	f     func()
}

// silenced has a client go by such a clock.
func silenced(c *remote.Client) *silence {
	s := &silence{timers: map[*silenceTimer]time.Duration{}}
	c.SetClock(s.now, func(d time.Duration, f func()) remote.Timer {
		t := &silenceTimer{s, f}
		t.Reset(d)
		return t
	})
	return s
}

// during makes the clock go while a fault lasts.
func (s *silence) during(fault regtest.Injector) regtest.Injector {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		over := make(chan struct{})
		defer close(over)
		go func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-over:
					return
				case <-tick.C:
					s.pass(quiet / 100)
				}
			}
		}()
		fault(w, r, next)
	}
}

func (s *silence) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Unix(0, 0).Add(s.at)
}

func (s *silence) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at += d
	for t, until := range s.timers {
		if until <= s.at {
			delete(s.timers, t)
			go t.f()
		}
	}
}

// Reset implements remote.Timer.
func (t *silenceTimer) Reset(d time.Duration) bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	_, ran := t.clock.timers[t]
	t.clock.timers[t] = t.clock.at + d
	return ran
}

// Stop implements remote.Timer.
func (t *silenceTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	_, ran := t.clock.timers[t]
	delete(t.clock.timers, t)
	return ran
}
