package remote

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"oras.land/oras-go/v2/registry/remote/auth"
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
	if localName(req.URL.Hostname()) {
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

// localName reports whether a host (without port) is this machine or its link by
// its name alone.
func localName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && local(addr)
}

// realmPrefixes are the addresses that a token server must not have: those that
// oras refuses, but for a registry on this machine its own.
func realmPrefixes(registry string) []netip.Prefix {
	u := url.URL{Host: registry}
	if !localName(u.Hostname()) {
		return blockedRealms
	}
	return blockedFromHere
}

// Thousands of repositories share them.
var (
	blockedRealms   = auth.DefaultBlockedRealmPrefixes()
	blockedFromHere = slices.DeleteFunc(auth.DefaultBlockedRealmPrefixes(), func(p netip.Prefix) bool { return p.Addr().IsLoopback() })
)

// local reports whether an address is one of this machine or its link.
func local(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified()
}

var errLocal = &policyError{
	Msg:  "refused to contact this machine or its link for a chart: its author named the address, not you",
	Hint: "if it is meant: run helm dependency build on the chart's folder, or name the repository with helm repo add",
}
