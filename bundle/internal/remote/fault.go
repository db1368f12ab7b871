package remote

import "bundle/bundle/internal/fault"

// Fault sorts the error: a registry that wants other credentials, grants no
// right or shows no good certificate has refused; all else has failed.
func (e *Error) Fault() (fault.Kind, string) {
	switch e.Kind {
	case Auth, Denied, TLS:
		return fault.Refused, e.Hint
	}
	return fault.Failed, e.Hint
}
