package regtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// A Network lets programs reach registries of this process by names that others
// own: it is the HTTPS proxy that leads to them. Set HTTPS_PROXY to its URL. Hosts
// show certificates by the authority they were added with. A host that was not added
// does not exist.
//
//	n, err := regtest.StartNetwork()
//	if err != nil { … }
//	defer n.Close()
//	ca, err := regtest.NewAuthority("public CA")
//	err = n.Add("ghcr.io:443", reg, ca)
//	cmd.Env = append(cmd.Env, "HTTPS_PROXY="+n.URL())
type Network struct {
	server *http.Server
	addr   net.Addr
	done   chan struct{}

	mu    sync.Mutex
	hosts map[string]*member
}

// A member is a host of a Network. The server that speaks TLS for it takes its
// connections from here.
type member struct {
	conns  chan net.Conn
	done   chan struct{}
	addr   net.Addr
	server *http.Server
	cert   tls.Certificate
}

func (m *member) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}
func (m *member) Close() error   { return nil }
func (m *member) Addr() net.Addr { return m.addr }

// StartNetwork runs a proxy that knows no host yet.
func StartNetwork() (*Network, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("regtest: %w", err)
	}
	n := &Network{addr: ln.Addr(), done: make(chan struct{}), hosts: make(map[string]*member)}
	n.server = &http.Server{Handler: http.HandlerFunc(n.connect), ErrorLog: log.New(io.Discard, "", 0)}
	go n.server.Serve(ln) //nolint:errcheck // Close ends it
	return n, nil
}

// URL is what HTTPS_PROXY has to be.
func (n *Network) URL() string { return "http://" + n.addr.String() }

// Close ends the proxy and every connection through it.
func (n *Network) Close() error {
	close(n.done)
	n.mu.Lock()
	defer n.mu.Unlock()
	err := n.server.Close()
	for _, m := range n.hosts {
		err = errors.Join(err, m.server.Close())
	}
	return err
}

// Add gives a registry that speaks HTTP the name host ("ghcr.io:443"), with a
// certificate by ca.
func (n *Network) Add(host string, r *Registry, ca *Authority) error {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		return fmt.Errorf("regtest: %w", err)
	}
	cert, err := ca.certify(name)
	if err != nil {
		return err
	}
	target, err := url.Parse(r.URL())
	if err != nil {
		return fmt.Errorf("regtest: %w", err)
	}
	proxy := &httputil.ReverseProxy{
		ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host
			p.Out.Header.Set("X-Forwarded-Proto", "https")
		},
	}
	m := &member{conns: make(chan net.Conn), done: n.done, addr: n.addr, cert: cert}
	m.server = &http.Server{Handler: proxy, ErrorLog: log.New(io.Discard, "", 0)}
	go m.server.Serve(m) //nolint:errcheck // Close ends it
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[host] = m
	return nil
}

func (n *Network) connect(w http.ResponseWriter, req *http.Request) {
	n.mu.Lock()
	m := n.hosts[req.Host]
	n.mu.Unlock()
	if m == nil || req.Method != http.MethodConnect {
		http.Error(w, "no such host here", http.StatusBadGateway)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		conn.Close()
		return
	}
	select {
	case m.conns <- tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{m.cert}}):
	case <-n.done:
		conn.Close()
	}
}

// An Authority signs certificates of hosts.
type Authority struct {
	PEM []byte // its own certificate

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes a certificate authority, good for a day.
func NewAuthority(name string) (*Authority, error) {
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("regtest: certificate: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("regtest: certificate: %w", err)
	}
	return &Authority{PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), cert: ca, key: key}, nil
}

// certify makes a server certificate for names: DNS names and addresses.
func (ca *Authority) certify(names ...string) (tls.Certificate, error) {
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "regtest registry"},
		NotBefore: ca.cert.NotBefore, NotAfter: ca.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("regtest: certificate: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("regtest: certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
