package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// tlsFiles are the files and settings of one TLS connection, beside what holds
// for all of them.
type tlsFiles struct {
	CAFile            string
	CertFile, KeyFile string
	Insecure          bool // the server's certificate is not verified
}

// poolKey tells apart the connections that must not be used for each other.
type poolKey struct {
	tls     tlsFiles
	guarded bool // no connection to this machine or its link
}

// choose returns the connections that a request may use.
func (t *transport) choose(req *http.Request, may access) (*http.Transport, error) {
	host := strings.ToLower(req.URL.Host)
	if req.URL.Scheme != "https" && !t.plain[host] && !slices.Contains(may.named, req.URL.Scheme+"://"+host) {
		return nil, &policyError{
			Msg:  "refused to contact " + host + " without TLS",
			Hint: "where that is acceptable: --plain-http " + host,
		}
	}
	key := poolKey{tls: may.tls}
	key.tls.Insecure = key.tls.Insecure || t.insecure[host]
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
	config, err := t.tlsConfig(key.tls)
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

// tlsConfig reads the files.
func (t *transport) tlsConfig(files tlsFiles) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: files.Insecure}
	var err error
	if config.RootCAs, err = certPool(t.caFile, files.CAFile); err != nil {
		return nil, err
	}
	if files.CertFile != "" && files.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// certPool is the system's pool plus the certificates of the files named.
func certPool(caFiles ...string) (pool *x509.CertPool, err error) {
	for _, name := range caFiles {
		if name == "" {
			continue
		}
		if pool == nil {
			if pool, err = x509.SystemCertPool(); err != nil {
				return nil, fmt.Errorf("system certificates: %w", err)
			}
		}
		pem, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("CA file: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file %s: no PEM certificate inside", name)
		}
	}
	return pool, nil // nil: crypto/tls takes the system's
}

// fileError is a file of the user's that cannot be used.
type fileError struct{ err error }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

var errNoHost = errors.New("not a URL of the form https://HOST/PATH")
