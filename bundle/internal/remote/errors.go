package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"bundle/bundle/internal/lazy"
)

// Kind classifies a failure by what can be done about it.
type Kind int

// The kinds of failure.
const (
	Other       Kind = iota // cancelled, a failing source, wrong use
	Unreachable             // no connection, broken connections, silence, or 5xx to the end
	Auth                    // 401: credentials are missing or wrong
	Denied                  // 403: the credentials do not permit it
	NotFound                // no such repository, tag, manifest or blob
	TLS                     // certificate not trusted, or no TLS at the other end
	RateLimited             // 429 to the end, or for too long
	Protocol                // an answer that a registry must not give, or content that is not what was asked for
)

var kindNames = [...]string{"other", "unreachable", "auth", "denied", "not found", "tls", "rate limited", "protocol"}

// String is the kind in lower case.
func (k Kind) String() string { return kindNames[k] }

// Error is the failure of one operation of a Client.
type Error struct {
	Op       string // "resolve", "pull blob", "push manifest" …
	Subject  string // reference, repository@digest or repository, by the caller's name
	Host     string // contacted, where it failed; not the subject's host with a mirror or redirect
	Mirror   string // the repository's name on the mirror, with Mirrors
	Status   int    // HTTP status, 0 without one
	Code     string // what the registry calls it, as MANIFEST_BLOB_UNKNOWN, or empty
	Kind     Kind
	Attempts int
	Hint     string // what to do about it, or empty
	Err      error
}

// Error tells everything but the hint.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Op, e.Subject)
	switch {
	case e.Mirror != "":
		fmt.Fprintf(&b, " through mirror %s", e.Mirror)
		if !strings.HasPrefix(e.Mirror, e.Host+"/") {
			fmt.Fprintf(&b, " at %s", e.Host)
		}
	case e.Host != "" && !strings.HasPrefix(withoutScheme().ReplaceAllString(e.Subject, ""), e.Host+"/"):
		fmt.Fprintf(&b, " at %s", e.Host)
	}
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " (%d attempts)", e.Attempts)
	}
	return b.String() + ": " + redact(cause(e.Err))
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Refused reports whether err is a question that a registry does not answer to
// this client, or to none. It may well take a push.
func Refused(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status != 0 && (e.Kind == Auth || e.Kind == Denied || e.Kind == Protocol)
}

// Fixed reports whether the refusal of a tag that exists may be for the reason that
// it exists, by the statuses that registries have for that.
func (e *Error) Fixed() bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusConflict, http.StatusPreconditionFailed:
		return true
	}
	return false
}

var (
	withoutScheme = lazy.Regexp(`^https?://`)

	urlSecrets = lazy.Regexp(`(https?://)[^/\s"']*@`)
	urlQuery   = lazy.Regexp(`(https?://[^\s"'?]*)\?[^\s"']*`)
)

// redact removes user information and query strings, which may hold secrets,
// from every URL in a message.
func redact(msg string) string {
	return urlQuery().ReplaceAllString(urlSecrets().ReplaceAllString(msg, "$1"), "$1")
}

var (
	errNotCanonical = errors.New("not a canonical name (host[:port]/path)")
	errNoTag        = errors.New("neither tag nor digest")
	errStalled      = errors.New("connection went silent")
)

// statusError is an HTTP status that the operation did not want.
type statusError struct {
	Host       string
	Status     int
	Code       string // of the specification, from the registry
	Message    string // from the registry, printable
	RetryAfter string // header, as it came
	Again      bool   // the operation knows that another attempt makes sense

	TokenServer string // the URL of the token server, where that refused
}

func (e *statusError) Error() string {
	s := fmt.Sprintf("status %d %s", e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.TokenServer != "" {
		s = "token server " + e.TokenServer + ": " + s
	}
	return s
}

// netError is a failed exchange: no connection, or one that broke.
type netError struct {
	Host string
	Err  error
}

func (e *netError) Error() string { return e.Err.Error() }
func (e *netError) Unwrap() error { return e.Err }

// policyError is something that is refused, or an answer that is wrong; trying
// again does not help.
type policyError struct {
	Msg  string
	Hint string
}

func (e *policyError) Error() string { return e.Msg }

func refuse(format string, args ...any) error {
	return &policyError{Msg: fmt.Sprintf(format, args...)}
}

// sourceError is a failure to read what is to be pushed.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return fmt.Sprintf("read content: %v", e.err) }
func (e *sourceError) Unwrap() error { return e.err }

// fail makes the error that an operation returns.
func (p *peer) fail(op, subject string, attempts int, err error) error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	e := &Error{Op: op, Subject: subject, Host: p.host, Attempts: attempts, Err: innermost(err)}
	if p.mirror {
		e.Mirror = p.location
	}
	p.classify(e, err)
	return e
}

// innermost drops the layers that HTTP clients add, which repeat method and URL.
func innermost(err error) error {
	var (
		status *statusError
		broken *netError
		policy *policyError
		source *sourceError
		cred   *credentialError
		oras   *errcode.ErrorResponse
		web    *url.Error
	)
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &source):
		return source
	case errors.As(err, &status):
		return status
	case errors.As(err, &policy):
		return policy
	case errors.As(err, &broken):
		return broken
	case errors.As(err, &cred):
		return cred
	case errors.As(err, &oras):
		return fromORAS(oras)
	case errors.As(err, &web):
		return innermost(web.Err)
	}
	return err
}

func fromORAS(e *errcode.ErrorResponse) *statusError {
	s := &statusError{Status: e.StatusCode}
	if e.URL != nil {
		s.Host = e.URL.Host
		if !strings.HasPrefix(e.URL.Path, "/v2/") {
			s.TokenServer = withoutSecrets(e.URL) // oras asks for nothing else there
		}
	}
	if len(e.Errors) > 0 {
		s.Code = printable(e.Errors[0].Code)
		s.Message = printable(e.Errors[0].Code + ": " + e.Errors[0].Message)
	}
	return s
}

// classify fills Kind, Status, Hint, and Host where another host failed.
func (p *peer) classify(e *Error, err error) {
	var (
		status *statusError
		broken *netError
		policy *policyError
		cred   *credentialError
	)
	switch {
	case errors.As(e.Err, &status):
		e.Status, e.Code = status.Status, status.Code
		e.setHost(status.Host)
		p.classifyStatus(e)
		if status.TokenServer != "" && status.Status == http.StatusBadRequest {
			e.Hint = fmt.Sprintf("it does not take the name of the repository, %s: too long, too deep (%d parts), or not allowed there", p.location, p.depth())
		}
	case errors.As(e.Err, &policy):
		e.Kind, e.Hint = Protocol, policy.Hint
	case errors.As(e.Err, &broken):
		e.setHost(broken.Host)
		e.classifyNet(broken)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		e.Kind, e.Status, e.Hint = Auth, http.StatusUnauthorized, p.loginHint()
		e.Err = errors.New("the registry demands credentials, and there are none for it")
	case errors.As(e.Err, &cred):
		e.Kind, e.Hint = Auth, "check the Docker configuration and its credential helper"
	case errors.Is(err, errdef.ErrNotFound):
		e.Kind, e.Status = NotFound, http.StatusNotFound
	default:
		var (
			source *sourceError
			file   *fileError
		)
		ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
		if !ended && !errors.As(e.Err, &source) && !errors.As(err, &file) {
			e.Kind = Protocol
		}
	}
}

func (e *Error) setHost(host string) {
	if host != "" {
		e.Host = host
	}
}

func (p *peer) classifyStatus(e *Error) {
	switch e.Status {
	case http.StatusUnauthorized:
		e.Kind, e.Hint = Auth, p.loginHint()
		if p.credentialsKnown.Load() {
			e.Hint = "the credentials for " + p.host + " are wrong or expired, or do not permit this; or there is no such repository"
		}
	case http.StatusForbidden:
		e.Kind, e.Hint = Denied, "ask for the right to do this in "+p.location+", or for more room where a quota is the cause"
	case http.StatusNotFound:
		e.Kind = NotFound
	case http.StatusTooManyRequests:
		e.Kind, e.Hint = RateLimited, "log in, use a mirror, or try again later"
	case http.StatusRequestEntityTooLarge:
		e.Kind, e.Hint = Protocol, "send less at once with --chunk-size 50M, or have the limit of the registry, or of the proxy before it, raised"
	case http.StatusUnsupportedMediaType:
		e.Kind, e.Hint = Protocol, "the registry does not take manifests of this media type; some take OCI types only, and not Docker's"
	case http.StatusRequestTimeout:
		e.Kind = Unreachable
	default:
		e.Kind = Protocol
		if retryableStatus(e.Status) {
			e.Kind = Unreachable
		}
	}
}

func (p *peer) loginHint() string {
	if p.charts {
		return "give what the chart repository wants with --username NAME --password-stdin"
	}
	return "log in to " + registryName(p.host) + " with docker login, podman login or helm registry login"
}

func (e *Error) classifyNet(err *netError) {
	e.Kind, e.Hint = Unreachable, "check host name, port, network and proxy (HTTPS_PROXY)"
	if !isTLS(err) {
		return
	}
	e.Kind, e.Hint = TLS, "the server's certificate or TLS settings need attention; --insecure-skip-tls-verify "+e.Host+" skips the check"
	var (
		author x509.UnknownAuthorityError
		alert  *net.OpError
		record tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &alert) && alert.Op == opAlert:
		e.Hint = "the server ended the TLS handshake; if it wants a client certificate: --client-cert FILE --client-key FILE,\nor files in /etc/containers/certs.d/" + e.Host
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		e.Hint = "the server does not speak TLS; where that is acceptable: --plain-http " + e.Host
	case errors.As(err, &author):
		e.Hint = "give the CA that signed the server's certificate with --ca-file FILE"
	}
}

// isTLS reports failures of the handshake, which trying again does not cure.
func isTLS(err error) bool {
	var (
		verify *tls.CertificateVerificationError
		author x509.UnknownAuthorityError
		name   x509.HostnameError
		cert   x509.CertificateInvalidError
		record tls.RecordHeaderError
		alert  tls.AlertError
		other  *net.OpError
	)
	return errors.Is(err, http.ErrSchemeMismatch) ||
		errors.As(err, &verify) || errors.As(err, &author) || errors.As(err, &name) ||
		errors.As(err, &cert) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &other) && other.Op == opAlert
}

// opAlert is what crypto/tls calls an alert that came from the other end.
const opAlert = "remote error"

// retryable reports whether the same request may succeed later.
func retryable(err error) bool {
	var (
		status *statusError
		broken *netError
		oras   *errcode.ErrorResponse
		policy *policyError
		source *sourceError
		dns    *net.DNSError
	)
	switch {
	case errors.As(err, &policy), errors.As(err, &source):
		return false
	case errors.As(err, &status):
		return status.Again || retryableStatus(status.Status)
	case errors.As(err, &oras):
		return retryableStatus(oras.StatusCode)
	case errors.As(err, &dns) && dns.IsNotFound:
		return false
	case errors.As(err, &broken):
		return !isTLS(broken)
	}
	return false
}

func retryableStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return status >= 500
}
