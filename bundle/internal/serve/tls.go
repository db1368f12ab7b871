package serve

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"bundle/bundle/internal/fault"
)

// A Certificate is one that was made for this run.
type Certificate struct {
	PEM         []byte // what clients have to trust
	Fingerprint string // SHA-256 of the DER, in pairs with colons, as browsers and openssl show it
}

// SelfSigned makes a certificate for the host of an address, or for all names and
// addresses of this machine where that stands for all; hosts are more names for it. Its
// key never leaves memory.
func SelfSigned(address string, hosts []string) (*tls.Config, Certificate, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, Certificate{}, fault.Input("--listen", err, "want HOST:PORT, for example 0.0.0.0:5000")
	}
	fail := func(err error) (*tls.Config, Certificate, error) {
		return nil, Certificate{}, fmt.Errorf("self-signed certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return fail(err)
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "bundle serve"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, // containerd and Docker take it as an authority
	}
	for _, h := range append(namesOf(host), hosts...) {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else if !slices.Contains(t.DNSNames, h) {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return fail(err)
	}
	c := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	sum := sha256.Sum256(der)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{c}}, Certificate{
		PEM:         pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Fingerprint: strings.ReplaceAll(strings.ToUpper(fmt.Sprintf("% x", sum[:])), " ", ":"),
	}, nil
}

// namesOf are all names of a host that is listened on.
func namesOf(host string) []string {
	all := []string{"localhost", "127.0.0.1", "::1"}
	ip := net.ParseIP(host)
	if host != "" && (ip == nil || !ip.IsUnspecified()) {
		if !slices.Contains(all, host) {
			all = append(all, host)
		}
		return all
	}
	if h, err := os.Hostname(); err == nil && h != "" {
		all = append(all, h)
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			all = append(all, n.IP.String())
		}
	}
	return all
}

// Reached is how other machines reach what listens on an address: by the first of hosts,
// or by the address itself, or by the name of this machine where that stands for all.
func Reached(address string, hosts []string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if len(hosts) > 0 {
		host = hosts[0]
	} else if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if h, err := os.Hostname(); err == nil {
			host = h
		}
	}
	return net.JoinHostPort(host, port)
}

// Authority is the last certificate of a chain, as PEM, if it is signed by itself: what
// clients have to trust. Otherwise it is nil.
func Authority(chain []byte) []byte {
	var last *pem.Block
	for {
		var block *pem.Block
		if block, chain = pem.Decode(chain); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			last = block
		}
	}
	if last == nil {
		return nil
	}
	c, err := x509.ParseCertificate(last.Bytes)
	if err != nil || !bytes.Equal(c.RawIssuer, c.RawSubject) {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: last.Bytes})
}

// TLSFiles reads certificate and key from PEM files, and again when they change. New
// ones that cannot be used are told, and the old ones stay.
func TLSFiles(certFile, keyFile string, tell func(line string)) (*tls.Config, error) {
	f := &tlsFiles{cert: certFile, key: keyFile}
	c, err := f.load()
	if err != nil {
		return nil, fault.Input("certificate", err, "want a certificate chain and its key, each a PEM file")
	}
	f.loaded = c
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return f.get(tell), nil
	}}, nil
}

type tlsFiles struct {
	cert, key string

	mu     sync.Mutex
	loaded *tls.Certificate
	seen   [2]stamp
}

// A stamp tells whether a file is another than before.
type stamp struct {
	time time.Time
	size int64
}

func (f *tlsFiles) stamps() (s [2]stamp, err error) {
	for i, name := range []string{f.cert, f.key} {
		var st fs.FileInfo
		if st, err = os.Stat(name); err != nil {
			return s, err
		}
		s[i] = stamp{st.ModTime(), st.Size()}
	}
	return s, nil
}

func (f *tlsFiles) load() (*tls.Certificate, error) {
	s, err := f.stamps()
	if err != nil {
		return nil, err
	}
	f.seen = s
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	return &c, err
}

func (f *tlsFiles) get(tell func(string)) *tls.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s, err := f.stamps(); err != nil || s == f.seen {
		return f.loaded
	}
	c, err := f.load()
	if err != nil {
		tell(fmt.Sprintf("the new certificate cannot be used, the old one stays: %v", err))
		return f.loaded
	}
	f.loaded = c
	return c
}
