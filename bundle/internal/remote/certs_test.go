package remote_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

// writePair writes a certificate and its key as base.cert and base.key. It signs
// itself unless parent does.
func writePair(t *testing.T, base string, parent *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: filepath.Base(base)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		IsCA: parent == nil, BasicConstraintsValid: true,
	}
	signer, signerKey := template, any(key)
	if parent != nil {
		signer, signerKey = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signerKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{".cert": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.MkdirAll(filepath.Dir(base), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(base+name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// mutual is a registry behind a server that demands certificates signed by ca.
func mutual(t *testing.T, ca tls.Certificate, version uint16) *httptest.Server {
	t.Helper()
	reg := start(t, regtest.Options{})
	target, err := url.Parse(reg.URL())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Scheme, r.URL.Host, r.RequestURI = target.Scheme, target.Host, ""
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: version}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(func() {
		s.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return s
}

// Certificates of clients and CAs come from options and from the folders of
// Podman and Docker.
func TestClientCertificates(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) { testClientCertificates(t, version) })
	}
}

func testClientCertificates(t *testing.T, version uint16) {
	dir := t.TempDir()
	ca := writePair(t, dir+"/ca", nil)
	writePair(t, dir+"/known", &ca)
	writePair(t, dir+"/stranger", nil)
	s := mutual(t, ca, version)
	host := strings.TrimPrefix(s.URL, "https://")
	serverCA := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	write := func(name string, data []byte) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	move := func(to string, names ...string) {
		for _, n := range names {
			data, err := os.ReadFile(filepath.Join(dir, n))
			if err != nil {
				t.Fatal(err)
			}
			write(filepath.Join(to, n), data)
		}
	}
	serverFile := write(dir+"/server.pem", serverCA)
	known := remote.Options{CAFile: serverFile, ClientCert: dir + "/known.cert", ClientKey: dir + "/known.key"}
	stranger := remote.Options{CAFile: serverFile, ClientCert: dir + "/stranger.cert", ClientKey: dir + "/stranger.key"}
	for _, tt := range []struct {
		name   string
		o      remote.Options
		folder func(home string)
		fails  string // part of message and hint
	}{
		{name: "options", o: known},
		{name: "none", o: remote.Options{CAFile: serverFile}, fails: "--client-cert FILE --client-key FILE"},
		{name: "stranger", o: stranger, fails: "--client-cert"},
		{name: "folder of Podman", folder: func(home string) {
			to := filepath.Join(home, ".config/containers/certs.d", host)
			move(to, "known.cert", "known.key")
			write(to+"/ca.crt", serverCA)
		}},
		{name: "folder of rootless Docker", folder: func(home string) {
			to := filepath.Join(home, ".config/docker/certs.d", host)
			move(to, "known.cert", "known.key")
			write(to+"/ca.crt", serverCA)
		}},
		{name: "folder of another host", folder: func(home string) {
			to := filepath.Join(home, ".config/containers/certs.d", "localhost:1")
			move(to, "known.cert", "known.key")
			write(to+"/ca.crt", serverCA)
		}, fails: "--ca-file"},
		{name: "CA only", folder: func(home string) {
			write(filepath.Join(home, ".config/containers/certs.d", host, "ca.crt"), serverCA)
		}, fails: "--client-cert"},
		{name: "CA beside an option's certificate", o: remote.Options{ClientCert: known.ClientCert, ClientKey: known.ClientKey}, folder: func(home string) {
			write(filepath.Join(home, ".config/containers/certs.d", host, "ca.crt"), serverCA)
		}},
		{name: "key is missing", folder: func(home string) {
			move(filepath.Join(home, ".config/containers/certs.d", host), "known.cert")
		}, fails: "known.key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("HOME", home)
			if tt.folder != nil {
				tt.folder(home)
			}
			err := client(t, tt.o).Preflight(t.Context(), host+"/r")
			if tt.fails == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if text := err.Error() + fault.Hint(err); !strings.Contains(text, tt.fails) {
				t.Errorf("%s", text)
			}
			if tt.name != "key is missing" && fault.KindOf(err) != fault.Refused {
				t.Errorf("kind %v: %v", fault.KindOf(err), err)
			}
		})
	}
}

// Files of options that are wrong are the user's to mend; they may be pipes, if
// somebody writes to them.
func TestCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir+"/a", nil)
	writePair(t, dir+"/b", nil)
	regtest.Fifo(t, dir+"/fifo")
	for name, o := range map[string]remote.Options{
		"certificate alone": {ClientCert: dir + "/a.cert"},
		"key alone":         {ClientKey: dir + "/a.key"},
		"another's key":     {ClientCert: dir + "/a.cert", ClientKey: dir + "/b.key"},
		"no key":            {ClientCert: dir + "/a.cert", ClientKey: dir + "/none"},
		"no end":            {CAFile: "/dev/zero"},
		"nobody writes":     {CAFile: dir + "/fifo"},
		"folder":            {CAFile: dir},
	} {
		if _, err := remote.New(o); err == nil || fault.KindOf(err) != fault.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cert, err := os.ReadFile(dir + "/a.cert")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = w.Write(cert)
		w.Close()
	}()
	c, err := remote.New(remote.Options{CAFile: "/dev/fd/" + itoa(r.Fd())})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func itoa(n uintptr) string { return big.NewInt(int64(n)).String() }
