package remote

import (
	"context"
	"sync"
	"time"
)

// A Wait is a host that has not answered for a while.
type Wait struct {
	Host    string
	Attempt int       // that is waited for, from 1
	Of      int       // attempts that will be made without any progress
	Since   time.Time // the last answer that was one
}

// notices tell the observer of waiting.
type notices struct {
	tell  func(Wait) // nil: nobody wants to know
	after time.Duration

	mu   sync.Mutex
	last map[string]time.Time // what was said of a host
}

func newNotices(o Options) *notices {
	return &notices{tell: o.Waiting, after: o.Retry.Notice, last: map[string]time.Time{}}
}

// A vigil is one wait, which may be interrupted. A nil vigil does nothing.
type vigil struct {
	*notices
	mu    sync.Mutex
	wait  Wait
	timer *time.Timer
	on    bool
}

// vigil returns a wait that has not begun, nil where nobody wants to know of it.
func (n *notices) vigil(w Wait) *vigil {
	if n.tell == nil {
		return nil
	}
	return &vigil{notices: n, wait: w}
}

// begin waits, since the time that the wait says or, later, since now.
func (v *vigil) begin() {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.on = true
	if v.timer != nil {
		v.wait.Since = time.Now()
		v.timer.Reset(v.after)
		return
	}
	v.timer = time.AfterFunc(time.Until(v.wait.Since.Add(v.after)), v.lasts)
}

// end is for waits that have begun.
func (v *vigil) end() {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.on = false
	if v.timer != nil {
		v.timer.Stop()
	}
}

// lasts tells of a wait that goes on.
func (v *vigil) lasts() {
	v.mu.Lock()
	w, on := v.wait, v.on
	if on {
		v.timer.Reset(v.after)
	}
	v.mu.Unlock()
	if on {
		v.notice(w)
	}
}

func (n *notices) notice(w Wait) {
	now := time.Now()
	n.mu.Lock()
	last, told := n.last[w.Host]
	tell := !told || now.Sub(last) >= n.after
	if tell {
		n.last[w.Host] = now
	}
	n.mu.Unlock()
	if tell {
		n.tell(w)
	}
}

// next is the wait for the next attempt of an operation.
func (b *backoff) next() Wait {
	w := Wait{Host: b.host, Attempt: b.failures + 1, Of: b.budget(), Since: b.since}
	if b.failures == 0 {
		w.Since = time.Now()
	}
	return w
}

type attemptKey struct{}

// attach lets the transport know which attempt of which operation a request is.
func (b *backoff) attach(ctx context.Context) context.Context {
	return context.WithValue(ctx, attemptKey{}, b)
}

// attempt is the wait that a request means, by the operation that it belongs to.
func attempt(ctx context.Context, host string) Wait {
	if b, ok := ctx.Value(attemptKey{}).(*backoff); ok {
		w := b.next()
		w.Host = host
		return w
	}
	return Wait{Host: host, Attempt: 1, Of: 1, Since: time.Now()}
}
