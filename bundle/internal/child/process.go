package child

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"
)

// maxBody limits a message in either direction, in bytes.
const maxBody = 1 << 30

// grace is how long a child may go on with a request that nobody waits for any more.
const grace = time.Second

// A process is one child, as its parent sees it.
type process struct {
	limits Limits
	cmd    *exec.Cmd
	in     io.WriteCloser
	errs   *lastWords
	gone   chan struct{} // closed once the child has ended, and death says why
	death  *Error        // nil: it was told to end

	// guarded by pool
	users int
	owner *Client
	idle  *time.Timer

	writing sync.Mutex // on in

	mu      sync.Mutex
	ended   bool // it was told to end, or killed
	receive func(string) (any, error)
	calls   map[uint32]*call
	last    uint32
}

// A call is a request on its way.
type call struct {
	answer chan result // of one
	note   string
}

type result struct {
	answer any
	err    error
}

func start(l Limits) (*process, error) {
	program, err := executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to run it as its own child: %w", err)
	}
	p := &process{limits: l, errs: new(lastWords), gone: make(chan struct{}), calls: map[uint32]*call{}}
	p.cmd = exec.Command(program)
	p.cmd.Args = []string{os.Args[0], marker, strconv.FormatInt(l.Memory, 10), strconv.Itoa(l.Stack)}
	p.cmd.Stderr = p.errs
	apart(p.cmd)
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start this program as its own child: %w", err)
	}
	go p.read(out) // until the child ends, which it does at the latest with this process
	return p, nil
}

// use adds a user, under pool; false when the child is no longer there.
func (p *process) use() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	if p.users++; p.idle != nil {
		p.idle.Stop()
	}
	return true
}

// waits tells whether answers may still come, though nobody may want them.
func (p *process) waits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.calls) > 0
}

// leave takes a user away; without one, the child is ended after a time.
func (p *process) leave() {
	pool.Lock()
	defer pool.Unlock()
	if p.users--; p.users > 0 {
		return
	}
	if i := slices.Index(pool.alive, p); i >= 0 {
		pool.alive = append(slices.Delete(pool.alive, i, i+1), p)
	}
	p.idle = time.AfterFunc(maxIdle, p.retire)
}

// retire ends a child that nobody uses.
func (p *process) retire() {
	pool.Lock()
	defer pool.Unlock()
	if p.users == 0 {
		p.end()
		_ = p.in.Close() // nobody writes to it now
	}
}

// end notes that the child ends, and that it is no fault of a request; it tells
// whether that is news.
func (p *process) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.ended
	p.ended = true
	return !was
}

// kill ends the child at once.
func (p *process) kill() {
	if p.end() {
		_ = p.cmd.Process.Kill() // it may have ended by itself
	}
}

// setup says what the next requests are about.
func (p *process) setup(ctx context.Context, text string, receive func(string) (any, error)) {
	p.mu.Lock()
	p.receive = receive
	p.mu.Unlock()
	p.write(ctx, setupFrame, 0, []byte(text))
}

// write sends a message. A child that does not read it ends with ctx; what became of
// it is learned in waiting for the answer.
func (p *process) write(ctx context.Context, kind byte, id uint32, body []byte) {
	stop := context.AfterFunc(ctx, p.kill)
	defer stop()
	p.writing.Lock()
	defer p.writing.Unlock()
	_ = writeFrame(p.in, kind, id, body)
}

func (p *process) ask(ctx context.Context, request []byte, limit time.Duration) (any, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	c := &call{answer: make(chan result, 1)}
	p.mu.Lock()
	p.last++
	id := p.last
	p.calls[id] = c
	p.mu.Unlock()
	p.write(ctx, askFrame, id, request)
	select {
	case r := <-c.answer:
		return r.answer, r.err
	case <-p.gone:
		select {
		case r := <-c.answer:
			return r.answer, r.err
		default:
		}
		if p.death == nil {
			return nil, errStale
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return nil, &Error{Cause: p.death.Cause, Note: c.note, Err: p.death.Err}
	case <-ctx.Done():
		time.AfterFunc(grace, func() { p.giveUp(id) })
		return nil, ctx.Err()
	case <-timer.C:
		p.kill()
		p.mu.Lock()
		defer p.mu.Unlock()
		return nil, &Error{Cause: Time, Note: c.note}
	}
}

// giveUp kills the child unless it has answered.
func (p *process) giveUp(id uint32) {
	p.mu.Lock()
	_, waits := p.calls[id]
	p.mu.Unlock()
	if waits {
		p.kill()
	}
}

// read hands out answers until there are no more, and finds out why.
func (p *process) read(out io.Reader) {
	err := p.frames(bufio.NewReaderSize(out, 64<<10))
	told := !p.end()
	if err != nil && !told {
		_ = p.cmd.Process.Kill() // what it says is no answer
	}
	_ = p.in.Close()
	wait := p.cmd.Wait() // the error is in the state
	pool.Lock()
	if i := slices.Index(pool.alive, p); i >= 0 {
		pool.alive = slices.Delete(pool.alive, i, i+1)
	}
	pool.Unlock()
	if !told && (err != nil || wait != nil) { // otherwise it had given its last answer
		p.death = &Error{Cause: p.errs.cause(), Err: errors.Join(err, wait)}
		if p.death.Cause == Crashed && err == nil && killed(p.cmd.ProcessState) {
			p.death.Cause = Killed
		}
	}
	close(p.gone)
}

func (p *process) frames(out io.Reader) error {
	for {
		f, err := readFrame(out, maxBody)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		p.mu.Lock()
		c := p.calls[f.id]
		if c == nil {
			p.mu.Unlock()
			return fmt.Errorf("an answer to request %d, which was not made", f.id)
		}
		if f.kind == noteFrame {
			c.note = f.body
			p.mu.Unlock()
			continue
		}
		receive := p.receive
		delete(p.calls, f.id)
		p.mu.Unlock()
		if f.kind == lastFrame {
			p.kill() // before anybody hears of it, and asks the next of it: to end by itself takes a while
		}
		switch f.kind {
		case answerFrame, lastFrame:
			answer, err := receive(f.body)
			if err != nil {
				err = &Error{Err: err}
				p.kill()
			}
			c.answer <- result{answer, err}
			if err != nil {
				return err
			}
		default:
			c.answer <- result{err: &Error{Err: errors.New(f.body)}}
		}
	}
}
