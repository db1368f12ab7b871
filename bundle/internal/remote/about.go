package remote

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
)

// About says what err is about, unless it is an [Error], which says it itself.
func About(subject string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return fmt.Errorf("%s: %w", subject, err)
}

// AboutOne says which of many things err is about, unless any other of them would have
// failed for the same reason: a registry that cannot be reached, or does not know who
// asks, is told of by itself, and not by the thing that happened to be asked for first.
func AboutOne(subject string, err error) error {
	var e *Error
	if errors.As(err, &e) && e.ofHost() {
		return &hostError{e}
	}
	return fmt.Errorf("%s: %w", subject, err)
}

// ofHost reports whether the host fails, and not what it was asked for.
func (e *Error) ofHost() bool {
	return e.Mirror == "" && e.Host != "" && (e.Kind == TLS || e.Kind == Auth || e.Kind == Unreachable && e.Status == 0)
}

// A hostError is an Error told of its host.
type hostError struct{ of *Error }

func (e *hostError) Error() string {
	text := "registry " + e.of.Host
	if e.of.Attempts > 1 {
		text += fmt.Sprintf(" (%d attempts)", e.of.Attempts)
	}
	return text + ": " + redact(cause(e.of.Err))
}

func (e *hostError) Unwrap() error { return e.of }

// cause is the text of an error, without what Go's packages say of themselves.
func cause(err error) string {
	var (
		lookup *net.DNSError
		dial   *net.OpError
		errno  syscall.Errno
		record tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return "there is no TLS at the other end"
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return "there is no host " + lookup.Name
	case errors.As(err, &dial) && dial.Op == "dial" && errors.As(dial, &errno):
		return fmt.Sprintf("%v (%v)", errno, dial.Addr)
	}
	return err.Error()
}
