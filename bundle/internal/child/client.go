package child

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A Client has one child at a time to ask about one thing. Its fields are set before
// the first request. It is safe for concurrent use.
type Client struct {
	Limits Limits
	// Setup says what the requests are about; it is called for each new child.
	Setup func() string
	// Receive makes a function that reads the answers of one child, each once, in the
	// order in which their bodies were made.
	Receive func() func(body string) (any, error)

	mu sync.Mutex // held while a child is found
	// guarded by pool
	p    *process
	lost bool // another client has taken its child
}

// Ask sends a request and returns what Receive made of the answer. When ctx ends
// first it returns the error of ctx at once, and the child is killed soon if it does
// not answer all the same. An answer that takes longer than the limit, and a child
// that dies, are an *Error. A child that ends because of another request is replaced.
func (c *Client) Ask(ctx context.Context, request []byte, limit time.Duration) (any, error) {
	for range maxTries {
		p, err := c.child(ctx)
		if err != nil {
			return nil, err
		}
		answer, err := p.ask(ctx, request, limit)
		p.leave()
		if !errors.Is(err, errStale) {
			return answer, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, &Error{Err: errStale}
}

// maxTries is how many children are asked, where others end them.
const maxTries = 10

// maxAlive is how many children there are, but for those that are at work.
const maxAlive = 2

// maxIdle is how long a child waits for the next request. A variable for the tests.
var maxIdle = 3 * time.Second

// pool knows all children.
var pool struct {
	sync.Mutex
	alive []*process // the one that was used last comes last
}

// child returns the client's child, with one more user.
func (c *Client) child(ctx context.Context) (*process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, used := c.find()
	if used {
		return p, nil
	}
	if p == nil {
		var err error
		if p, err = start(c.Limits); err != nil {
			return nil, err
		}
		pool.Lock()
		p.users, p.owner, c.p = 1, c, p
		pool.alive = append(pool.alive, p)
		pool.Unlock()
	}
	p.setup(ctx, c.Setup(), c.Receive())
	return p, nil
}

// find returns the client's own child, or else one that idles: to set that up again costs
// less than to start one. Clients that ask in turns would set up each time; one that has
// lost a child to another gets a child more.
func (c *Client) find() (p *process, own bool) {
	pool.Lock()
	defer pool.Unlock()
	if c.p != nil && c.p.use() {
		return c.p, true
	}
	if c.lost && len(pool.alive) < maxAlive {
		return nil, false
	}
	for _, p := range pool.alive {
		if p.users == 0 && p.limits == c.Limits && !p.waits() && p.use() {
			p.owner.p, p.owner.lost = nil, true
			p.owner, c.p = c, p
			return p, false
		}
	}
	return nil, false
}
