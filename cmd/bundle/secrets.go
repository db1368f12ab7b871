package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"bundle/bundle"
)

// keyOptions let a private key be encrypted, or live in the ssh-agent.
func keyOptions(ctx context.Context, w io.Writer, path string) bundle.KeyOptions {
	return bundle.KeyOptions{
		Passphrase: func() ([]byte, error) { return askPassphrase(ctx, w, "Passphrase for "+path+": ") },
		Agent:      func() (io.ReadWriter, error) { return dialAgent(ctx) },
	}
}

// askPassphrase reads from the terminal without echo, also when standard input
// is something else. An interrupt gives the terminal back as it was.
func askPassphrase(ctx context.Context, w io.Writer, prompt string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, errors.New("it needs a passphrase, and there is no terminal to ask for it")
	}
	defer tty.Close()
	fd := int(tty.Fd())
	// Each key is read by itself: the line that a terminal collects has no end where
	// nothing stands on it.
	old, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	defer func() { _ = term.Restore(fd, old) }()
	fmt.Fprint(w, prompt)
	type answer struct {
		b   []byte
		err error
	}
	// A read from a terminal cannot be cancelled: it is left behind when the
	// program is about to end.
	got := make(chan answer, 1)
	go func() {
		b, err := readSecret(tty)
		got <- answer{b, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprint(w, "\r\n")
		return nil, ctx.Err()
	case a := <-got:
		fmt.Fprint(w, "\r\n")
		return a.b, a.err
	}
}

// readSecret reads keys up to the end of the line. Ctrl-D ends it, and is no answer
// where nothing was typed; Ctrl-C interrupts.
func readSecret(tty io.Reader) ([]byte, error) {
	const (
		interrupt, end, backspace, wipe, del = 3, 4, 8, 21, 127
		most                                 = 4096
	)
	var secret []byte
	key := make([]byte, 1)
	for {
		n, err := tty.Read(key)
		switch {
		case n == 0 && (err == nil || err == io.EOF), n == 1 && key[0] == end:
			if len(secret) == 0 {
				return nil, errNoAnswer
			}
			return secret, nil
		case err != nil && n == 0:
			return nil, err
		}
		switch c := key[0]; c {
		case '\r', '\n':
			return secret, nil
		case interrupt:
			return nil, context.Canceled
		case backspace, del:
			_, size := utf8.DecodeLastRune(secret)
			secret = secret[:len(secret)-min(size, len(secret))]
		case wipe:
			secret = secret[:0]
		default:
			if len(secret) == most {
				return nil, fmt.Errorf("a passphrase of more than %d bytes", most)
			}
			secret = append(secret, c)
		}
	}
}

var errNoAnswer = &bundle.UsageError{
	What:   "no passphrase was given",
	Advice: "type it at the prompt, or load the key into the ssh-agent with ssh-add and give --key FILE.pub",
}

// Limits of what is read from standard input where one line is wanted. Programs
// that look a password up may ask a person for another one first.
const (
	maxLine  = 64 << 10
	lineTime = time.Minute
)

// readLine reads the first line. A person may take any time to type it, a program
// may not.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	limit := lineTime
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		limit = 24 * time.Hour
	}
	type answer struct {
		line string
		err  error
	}
	// As above: this cannot be cancelled, and the program is about to end.
	got := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(io.LimitReader(in, maxLine)).ReadString('\n')
		got <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(limit):
		return "", &bundle.UsageError{What: fmt.Sprintf("no line came for %v", limit)}
	case a := <-got:
		switch {
		case len(a.line) == maxLine:
			return "", &bundle.UsageError{What: fmt.Sprintf("no line ends within %d bytes", maxLine)}
		case a.err != nil && a.err != io.EOF:
			return "", a.err
		}
		return a.line, nil
	}
}

// agentConn gives the agent, and whoever touches a token for it, some time for each
// answer.
type agentConn struct{ net.Conn }

const agentTime = 2 * time.Minute

func (c *agentConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(agentTime)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("the ssh-agent did not answer within %v", agentTime)
	}
	return n, err
}

func dialAgent(ctx context.Context) (io.ReadWriter, error) {
	path := os.Getenv("SSH_AUTH_SOCK")
	if path == "" {
		return nil, errors.New("it is a public key, and no ssh-agent is running (SSH_AUTH_SOCK is not set)")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("ssh-agent: %w", err)
	}
	// It may wait for a person to touch a token: only an interrupt ends that.
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &agentConn{conn}, nil
}
