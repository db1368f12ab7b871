package remote

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"bundle/bundle/internal/fault"
)

// tlsFiles are the files and settings of one TLS connection, beside what holds
// for all of them.
type tlsFiles struct {
	CAFile            string
	CertFile, KeyFile string
	Folder            string // of certs.d; empty: none
	Insecure          bool   // the server's certificate is not verified
}

// poolKey tells apart the connections that must not be used for each other.
type poolKey struct {
	tls     tlsFiles
	guarded bool // no connection to this machine or its link
}

// choose returns the connections that a request may use.
func (t *transport) choose(req *http.Request, may access) (*http.Transport, error) {
	host := strings.ToLower(req.URL.Host)
	if req.URL.Scheme != "https" && req.URL.Scheme != "http" || host == "" {
		return nil, refuse("refused to go on to %s", printable(withoutSecrets(req.URL)))
	}
	if req.URL.Scheme != "https" && !t.plain[host] && !slices.Contains(may.named, req.URL.Scheme+"://"+host) {
		return nil, &policyError{
			Msg:  "refused to contact " + host + " without TLS",
			Hint: "where that is acceptable: --plain-http " + host,
		}
	}
	key := poolKey{tls: may.tls}
	key.tls.Insecure = key.tls.Insecure || t.insecure[host]
	key.tls.Folder = t.certsFolder(host)
	var err error
	if key.guarded, err = t.guarded(req, host); err != nil {
		return nil, err
	}
	return t.pool(key)
}

// pool returns the connections for a key.
func (t *transport) pool(key poolKey) (*http.Transport, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.pools[key]; p != nil {
		return p, nil
	}
	config, err := t.identity.tlsConfig(key.tls)
	if err != nil {
		return nil, &fileError{err}
	}
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	if key.guarded {
		dialer.Control = checkAddress
	}
	p := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   15 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          128,
		MaxIdleConnsPerHost:   32,
		ReadBufferSize:        128 << 10,
		WriteBufferSize:       128 << 10,
		ForceAttemptHTTP2:     true,
		// A layer must arrive as it is stored, whatever Content-Encoding says.
		DisableCompression: true,
		// A dead HTTP/2 connection would otherwise serve every new attempt, too.
		HTTP2: &http.HTTP2Config{SendPingTimeout: t.stall / 2, PingTimeout: t.stall / 4},
	}
	t.pools[key] = p
	return p, nil
}

// close closes the idle connections of all pools.
func (t *transport) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.pools {
		p.CloseIdleConnections()
	}
}

// fileError is a file of the user's that cannot be used.
type fileError struct{ err error }

// Fault makes it a wrong request.
func (e *fileError) Fault() (fault.Kind, string) { return fault.Usage, fault.Hint(e.err) }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

var errNoHost = errors.New("not a URL of the form https://HOST/PATH")
