package remote

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// backoff counts the failures of one operation and pauses between them.
type backoff struct {
	policy   Retry
	host     string
	answered func() bool // the host has answered in this run
	notices  *notices
	hasty    bool      // little is lost by an early end
	silent   bool      // the last failure was silence
	failures int       // in a row without progress
	attempts int       // in all
	since    time.Time // of the first of these failures
}

func (c *Client) backoff(host string) *backoff {
	return &backoff{
		policy: c.opts.Retry, host: host, notices: c.transport.notices, attempts: 1,
		answered: func() bool { return c.transport.answered(host) },
	}
}

// strangerAttempts is how often a host is tried that has never answered: it is
// more likely a wrong name than a registry that restarts. The same holds for one
// that takes requests and says nothing: each time takes as long as silence may.
const strangerAttempts = 3

// budget is how many failures in a row are borne.
func (b *backoff) budget() int {
	if b.answered() && !b.silent {
		return b.policy.Attempts
	}
	return min(strangerAttempts, b.policy.Attempts)
}

// progress says that the last attempt moved something before it failed.
func (b *backoff) progress() { b.failures = 0 }

// again pauses and returns nil when another attempt makes sense, else the error
// to give up with.
func (b *backoff) again(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if b.failures++; b.failures == 1 {
		b.since = time.Now()
	}
	b.silent = errors.Is(err, errStalled)
	if !retryable(err) || b.failures >= b.budget() || b.hasty && time.Since(b.since) > hastyTime && !tooMany(err) {
		return err
	}
	wait, ok := b.wait(err, time.Now())
	if !ok {
		return err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	pause := b.notices.vigil(b.next())
	pause.begin()
	defer pause.end()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	b.attempts++
	return nil
}

// wait is the pause before the next attempt, and false when the registry asks for
// a longer one than is acceptable.
func (b *backoff) wait(err error, now time.Time) (time.Duration, bool) {
	d := b.policy.MinWait << min(b.failures-1, 20)
	if d > b.policy.MaxWait || d <= 0 {
		d = b.policy.MaxWait
	}
	d = d/2 + rand.N(d/2+1)
	var status *statusError
	if errors.As(err, &status) {
		if after, ok := retryAfter(status.RetryAfter, now); ok {
			return max(d, after), after <= b.policy.MaxRetryAfter
		}
	}
	return d, true
}

// tooMany reports whether a registry is asked too often.
func tooMany(err error) bool {
	var status *statusError
	return errors.As(err, &status) && status.Status == http.StatusTooManyRequests
}

// retryAfter reads the header of that name: seconds or a date (RFC 9110, 10.2.3).
func retryAfter(header string, now time.Time) (time.Duration, bool) {
	if s, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(s) * time.Second, true
	}
	if t, err := http.ParseTime(header); err == nil {
		return max(t.Sub(now), 0), true
	}
	return 0, false
}

type hastyKey struct{}

// hastyTime is how long such a question is tried again.
const hastyTime = 5 * time.Second

// Hasty returns a context for questions that little is lost by: a registry that
// cannot answer them is asked again for a few seconds. One that wants to be asked more slowly
// can.
func Hasty(ctx context.Context) context.Context { return context.WithValue(ctx, hastyKey{}, true) }

// retry runs f until it succeeds or fails for good.
func (p *peer) retry(ctx context.Context, op, subject string, f func(context.Context) error) error {
	b := p.client.backoff(p.host)
	b.hasty = ctx.Value(hastyKey{}) != nil
	ctx = b.attach(ctx)
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if err := b.again(ctx, err); err != nil {
			return p.fail(op, subject, b.attempts, err)
		}
	}
}
