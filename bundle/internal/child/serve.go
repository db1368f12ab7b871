package child

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
)

// Limits are what a child may use.
type Limits struct {
	Memory int64 // bytes
	Stack  int   // bytes of one goroutine
}

// A Session answers requests that are about one thing; any number of them at once.
// note says what is being worked at, for the error in case it is the last that is
// heard of this process.
type Session func(request string, note func(string)) Answer

// An Answer is what a session says to a request.
type Answer struct {
	// Body is called once it is sure that no other answer is sent before this one.
	Body func() []byte
	// Last ends the process: something is under way in it that nothing else can end.
	// No further request is made of it.
	Last bool
}

// marker is the first argument of a child.
const marker = "--child-of-the-same-program"

var available atomic.Bool

// Available tells whether this program can be its own child.
func Available() bool { return available.Load() }

// Main is the first thing in the main function of a program that can be its own
// child. ok is false where this process is none; otherwise all is done, and the
// process shall end with the code. open makes the session that a setup asks for.
func Main(open func(setup string) (Session, error)) (code int, ok bool) {
	if len(os.Args) != 4 || os.Args[1] != marker {
		available.Store(true)
		return 0, false
	}
	memory, err := strconv.ParseInt(os.Args[2], 10, 64)
	stack, err2 := strconv.Atoi(os.Args[3])
	if err != nil || err2 != nil || memory <= 0 || stack <= 0 {
		return 2, true
	}
	signal.Ignore(os.Interrupt) // the parent knows what to do
	debug.SetTraceback("none")
	debug.SetMaxStack(stack)
	debug.SetMemoryLimit(memory / 4 * 3)
	debug.SetGCPercent(200) // it does not live long, and renders make much garbage
	if err := limitMemory(memory); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	if err := serve(os.Stdin, os.Stdout, open); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

// serve answers requests until in ends or an answer is the last.
func serve(in io.Reader, out io.Writer, open func(string) (Session, error)) error {
	s := &server{out: out, done: make(chan error, 1)}
	go func() { s.done <- s.read(bufio.NewReader(in), open) }()
	return <-s.done
}

type server struct {
	mu   sync.Mutex // on out
	out  io.Writer
	done chan error
}

// read starts what is asked for. It does not wait for it: the process ends with its
// input, whatever is under way.
func (s *server) read(in io.Reader, open func(string) (Session, error)) error {
	var session Session
	var failed error
	for {
		f, err := readFrame(in, maxBody)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case f.kind == setupFrame:
			session, failed = open(f.body)
		case failed != nil:
			s.send(failFrame, f.id, []byte(failed.Error()))
		case f.kind == askFrame && session != nil:
			go s.answer(session, f)
		default:
			return fmt.Errorf("a message of kind %q that nobody waits for", f.kind)
		}
	}
}

func (s *server) answer(session Session, f frame) {
	a := session(f.body, func(text string) { s.send(noteFrame, f.id, []byte(text[:min(len(text), maxNote)])) })
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := byte(answerFrame)
	if a.Last {
		kind = lastFrame
	}
	err := writeFrame(s.out, kind, f.id, a.Body())
	if err != nil || a.Last {
		s.end(err)
	}
}

func (s *server) send(kind byte, id uint32, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := writeFrame(s.out, kind, id, body); err != nil {
		s.end(err)
	}
}

func (s *server) end(err error) {
	select {
	case s.done <- err:
	default:
	}
}
