package remote

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
)

// guard marks requests that somebody else than the user brought about.
type guard struct{ named map[string]bool }

type guardKey struct{}

// Guard returns a context for requests that the author of a chart brings about.
// They are kept away from this machine and its link (loopback and link-local
// addresses, where services trust whoever comes), except for the hosts
// ("host[:port]") given here and those in Options.
func Guard(ctx context.Context, named ...string) context.Context {
	return context.WithValue(ctx, guardKey{}, &guard{hostSet(named)})
}

// guarded reports whether the address of a host has to be looked at before a
// connection is made. Behind a proxy only its name can be.
func (t *transport) guarded(req *http.Request, host string) (bool, error) {
	g, _ := req.Context().Value(guardKey{}).(*guard)
	if g == nil || g.named[host] || t.named[host] {
		return false, nil
	}
	name := strings.TrimSuffix(req.URL.Hostname(), ".")
	if strings.EqualFold(name, "localhost") || strings.HasSuffix(strings.ToLower(name), ".localhost") {
		return true, errLocal
	}
	if addr, err := netip.ParseAddr(name); err == nil && local(addr) {
		return true, errLocal
	}
	proxy, err := http.ProxyFromEnvironment(req)
	return err == nil && proxy == nil, nil
}

// checkAddress refuses a connection to this machine or its link.
func checkAddress(_, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil || local(addr.Addr()) {
		return errLocal
	}
	return nil
}

// local reports whether an address is one of this machine or its link.
func local(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified()
}

var errLocal = &policyError{
	Msg:  "refused to contact this machine or its link for a chart: its author named the address, not you",
	Hint: "if it is meant: run helm dependency build on the chart's folder, or name the repository with helm repo add",
}
