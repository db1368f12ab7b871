package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

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
	old, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	fmt.Fprint(w, prompt)
	type answer struct {
		b   []byte
		err error
	}
	// A read from a terminal cannot be cancelled: it is left behind when the
	// program is about to end.
	got := make(chan answer, 1)
	go func() {
		b, err := term.ReadPassword(fd)
		got <- answer{b, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(w)
		return nil, errors.Join(ctx.Err(), term.Restore(fd, old))
	case a := <-got:
		fmt.Fprintln(w)
		return a.b, a.err
	}
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
	return conn, nil
}
