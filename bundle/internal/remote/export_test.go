package remote

import "time"

// Timer is what a clock of tests hands out.
type Timer = timer

// SetClock has a client, before its first request, measure silence by another clock.
func (c *Client) SetClock(now func() time.Time, afterFunc func(time.Duration, func()) Timer) {
	c.transport.clock = clock{now, afterFunc}
}
