package serve

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"bundle/bundle/internal/fault"
)

// listen serves h until the test or the function that it returns ends it.
func listen(t *testing.T, h http.Handler, o ListenOptions) (addr string, end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	o.Address, o.Ready = "127.0.0.1:0", func(addr string) { ready <- addr }
	go func() { done <- Listen(ctx, h, o) }()
	end = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() { end() }) //nolint:errcheck // a test that cares has asked
	select {
	case addr = <-ready:
		return addr, end
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	return "", nil
}

// What is under way at the end comes to its end; what takes too long is broken off.
func TestEnd(t *testing.T) {
	t.Parallel()
	for name, grace := range map[string]time.Duration{"in time": time.Minute, "too late": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, goOn := make(chan bool), make(chan bool)
			addr, end := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(asked)
				select {
				case <-goOn:
				case <-r.Context().Done():
				}
				w.Write([]byte("whole")) //nolint:errcheck // that is the test
			}), ListenOptions{Grace: grace})
			answer := make(chan error, 1)
			go func() {
				resp, err := http.Get("http://" + addr)
				if err == nil {
					resp.Body.Close()
				}
				answer <- err
			}()
			<-asked
			if name == "in time" {
				go func() {
					for { // it takes no more, and goes on with what it has
						c, err := net.Dial("tcp", addr)
						if err != nil {
							break
						}
						c.Close()
					}
					close(goOn)
				}()
			}
			if err := end(); err != nil {
				t.Error(err)
			}
			if err := <-answer; (err == nil) != (name == "in time") {
				t.Errorf("the client got %v", err)
			}
		})
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	addr, _ := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}), ListenOptions{Most: 1})
	first, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + addr)
		if err == nil {
			resp.Body.Close()
		}
		answered <- err
	}()
	select {
	case <-answered:
		t.Error("a second connection was answered beside the first")
	case <-time.After(100 * time.Millisecond):
	}
	first.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestWrongAddress(t *testing.T) {
	t.Parallel()
	for _, a := range []string{"here", "127.0.0.1", "127.0.0.1:99999999"} {
		err := Listen(t.Context(), http.NotFoundHandler(), ListenOptions{Address: a})
		if err == nil || fault.KindOf(err) != fault.Usage {
			t.Errorf("%s: %v", a, err)
		}
	}
}

// systemd is told when it begins and when it ends.
func TestNotify(t *testing.T) {
	sockets := []string{filepath.Join(t.TempDir(), "notify")}
	if runtime.GOOS == "linux" {
		sockets = append(sockets, "@"+filepath.ToSlash(sockets[0])) // of no file
	}
	for _, path := range sockets {
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		t.Setenv("NOTIFY_SOCKET", path)
		_, end := listen(t, http.NotFoundHandler(), ListenOptions{})
		end()                                              //nolint:errcheck // another test's
		_ = l.SetReadDeadline(time.Now().Add(time.Minute)) // what is sent has arrived
		for _, want := range []string{"READY=1", "STOPPING=1"} {
			buf := make([]byte, 100)
			n, err := l.Read(buf)
			if err != nil || string(buf[:n]) != want {
				t.Errorf("%s: %q, %v; want %s", path, buf[:n], err, want)
			}
		}
	}
}

// A certificate is for what people call this machine: its name and addresses, but for
// those that mean another machine elsewhere, where it listens on all of them.
func TestNamesOf(t *testing.T) {
	t.Parallel()
	here := []string{"localhost", "127.0.0.1", "::1"}
	for host, want := range map[string][]string{"reg.lab": append(here, "reg.lab"), "10.0.0.7": append(here, "10.0.0.7"), "127.0.0.1": here, "localhost": here} {
		if got := namesOf(host); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
	self, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want := append(here, self)
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			want = append(want, ip.String())
		}
	}
	for _, all := range []string{"", "0.0.0.0", "::"} {
		if got := namesOf(all); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", all, got, want)
		}
	}
}

func TestSelfSigned(t *testing.T) {
	t.Parallel()
	config, c, err := SelfSigned("0.0.0.0:5000", []string{"bundles.plant.local", "10.1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(c.PEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || len(rest) > 0 {
		t.Fatal(err, rest)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "bundles.plant.local", "10.1.2.3"} {
		if err := cert.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if len(c.Fingerprint) != 32*3-1 || strings.Count(c.Fingerprint, ":") != 31 {
		t.Errorf("fingerprint %s", c.Fingerprint)
	}
	addr, _ := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}), ListenOptions{TLS: config})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.PEM)
	conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// A certificate that changes is read again; one that cannot be used is told, once, and
// the old one stays.
func TestTLSFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	age := time.Now().Add(-time.Hour)
	write := func(certPEM, keyPEM []byte) {
		for name, b := range map[string][]byte{cert: certPEM, key: keyPEM} {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			age = age.Add(time.Second)
			if err := os.Chtimes(name, age, age); err != nil {
				t.Fatal(err)
			}
		}
	}
	fresh := func() (certPEM, keyPEM []byte, fingerprint string) {
		config, c, err := SelfSigned("127.0.0.1:1", nil)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(config.Certificates[0].PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		return c.PEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), string(config.Certificates[0].Certificate[0])
	}
	if _, err := TLSFiles(cert, key, nil); err == nil || fault.KindOf(err) != fault.Usage {
		t.Errorf("no files: %v", err)
	}
	c1, k1, first := fresh()
	c2, k2, second := fresh()
	write(c1, k1)
	var told lineLog
	config, err := TLSFiles(cert, key, told.add)
	if err != nil {
		t.Fatal(err)
	}
	want := func(der string) {
		t.Helper()
		c, err := config.GetCertificate(nil)
		if err != nil || string(c.Certificate[0]) != der {
			t.Errorf("another certificate, %v", err)
		}
	}
	want(first)
	write(c2, k1) // half of a change
	want(first)
	want(first)
	if n := len(told.all()); n != 1 {
		t.Errorf("told %d times", n)
	}
	write(c2, k2)
	want(second)
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	want(second)
}

// Nodes are told a host that reaches this machine, and what to trust.
func TestReached(t *testing.T) {
	t.Parallel()
	self, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		address string
		hosts   []string
		want    string
	}{
		{"127.0.0.1:5000", nil, "127.0.0.1:5000"}, {"10.0.0.7:5000", nil, "10.0.0.7:5000"}, {"0.0.0.0:5000", nil, self + ":5000"},
		{"[::]:5000", nil, self + ":5000"}, {"0.0.0.0:5000", []string{"reg.lab", "x"}, "reg.lab:5000"}, {"[fe80::1]:5000", nil, "[fe80::1]:5000"},
	} {
		if got := Reached(tc.address, tc.hosts); got != tc.want {
			t.Errorf("%s is reached by %s, want %s", tc.address, got, tc.want)
		}
	}
	_, c, err := SelfSigned("127.0.0.1:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := SelfSigned("127.0.0.1:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := Authority(slices.Concat(other.PEM, []byte("x\n"), c.PEM)); !bytes.Equal(got, c.PEM) {
		t.Errorf("%s", got)
	}
	for _, none := range []string{"", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if got := Authority([]byte(none)); got != nil {
			t.Errorf("%q: %s", none, got)
		}
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for text, ok := range map[string]bool{
		"":                                      false,
		"alice":                                 false,
		":" + string(hash):                      false,
		"alice:secret":                          false,
		"alice:{SHA}abc":                        false,
		"alice:$apr1$a$b":                       false,
		"alice:" + string(hash):                 true,
		"# x\n\nalice:" + string(hash) + "\r\n": true,
		"alice:" + string(hash) + "\nalice:" + string(hash): false,
	} {
		if _, err := ParseUsers("users", []byte(text)); (err == nil) != ok || err != nil && fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %v", text, err)
		}
	}
	u, err := ParseUsers("users", []byte("alice:"+string(hash)))
	if err != nil {
		t.Fatal(err)
	}
	url := start(t, Options{Users: u}, openGolden(t, nil))
	for _, tc := range []struct {
		path, user, password string
		status               int
	}{
		{"/v2/", "", "", 401}, {"/v2/", "alice", "secret", 200}, {"/v2/", "alice", "secret", 200}, {"/v2/", "alice", "wrong", 401},
		{"/v2/", "bob", "nobody", 401}, {"/v2/", "", "secret", 401}, {"/metrics", "", "", 401}, {"/", "", "", 401},
		{"/healthz", "", "", 200}, {"/v2/_catalog", "", "", 401}, {"/v2/acme/app/manifests/1.0", "", "", 401},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", url+tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tc.user+tc.password != "" {
			r.SetBasicAuth(tc.user, tc.password)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tc.status || tc.status == 401 && resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%v: %d", tc, resp.StatusCode)
		}
	}
}
