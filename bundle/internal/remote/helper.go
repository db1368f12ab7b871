package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// maxHelper is how much a credential helper may write, in bytes.
const maxHelper = 1 << 20

// askHelper asks docker-credential-NAME for what it has for a server; nothing is
// an empty credential. The protocol is that of
// https://github.com/docker/docker-credential-helpers: the server on standard
// input, JSON on standard output. A helper that takes longer than limit is
// given up.
func askHelper(ctx context.Context, name, server string, limit time.Duration) (auth.Credential, error) {
	program := "docker-credential-" + name
	asked, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, said := bounded{stop: cancel}, bounded{stop: cancel}
	cmd := exec.CommandContext(asked, program, "get")
	cmd.Stdin = strings.NewReader(server)
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = time.Second // a child of its own may hold the pipes
	err := cmd.Run()
	text := strings.TrimSpace(out.text.String())
	switch {
	case ctx.Err() != nil:
		return auth.EmptyCredential, ctx.Err()
	case out.full || said.full:
		return auth.EmptyCredential, fmt.Errorf("%s writes more than %d MiB", program, maxHelper>>20)
	case asked.Err() != nil:
		return auth.EmptyCredential, fmt.Errorf("%s did not answer within %v", program, limit)
	case err != nil && noLogin(text):
		return auth.EmptyCredential, nil
	case err != nil:
		return auth.EmptyCredential, fmt.Errorf("%s: %w%s", program, reason(err), and(text, said.text.String()))
	}
	var found struct{ Username, Secret string }
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		return auth.EmptyCredential, fmt.Errorf("%s does not answer with JSON", program) // what it is may be secret
	}
	if found.Username == "<token>" {
		return auth.Credential{RefreshToken: found.Secret}, nil
	}
	return auth.Credential{Username: found.Username, Password: found.Secret}, nil
}

// noLogin reports whether a helper says that it has nothing for a server; the
// protocol has a sentence for it, and no code.
func noLogin(text string) bool {
	return text == "credentials not found in native keychain" || text == "no credentials server URL" || text == "no credentials username"
}

// reason leaves out the name of the program, which stands before it.
func reason(err error) error {
	var start *exec.Error
	if errors.As(err, &start) {
		return start.Err
	}
	return err
}

// and is what a helper said of its failure.
func and(texts ...string) string {
	for _, s := range texts {
		if s = printable(s); s != "" {
			return ": " + s
		}
	}
	return ""
}

// bounded keeps what is written, and stops the writer beyond the limit.
type bounded struct {
	text bytes.Buffer // not embedded: its ReadFrom has no limit
	stop func()
	full bool
}

var errTooMuch = errors.New("too much output")

func (b *bounded) Write(p []byte) (int, error) {
	if b.text.Len()+len(p) > maxHelper {
		b.full = true
		b.stop()
		return 0, errTooMuch
	}
	return b.text.Write(p)
}
