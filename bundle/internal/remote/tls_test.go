package remote_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

// Whom the client talks to how.
func TestTLS(t *testing.T) {
	secure := start(t, regtest.Options{TLS: true})
	plain := start(t, regtest.Options{})
	ca, err := secure.WriteCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	local := strings.Replace(plain.Host(), "127.0.0.1", "localhost", 1)
	tests := []struct {
		name string
		opts remote.Options
		host string
		kind remote.Kind // Other: success
		hint string
	}{
		{"unknown CA", remote.Options{}, secure.Host(), remote.TLS, "--ca-file"},
		{"known CA", remote.Options{CAFile: ca}, secure.Host(), remote.Other, ""},
		{"not verified", remote.Options{InsecureSkipTLS: []string{secure.Host()}}, secure.Host(), remote.Other, ""},
		{"another one not verified", remote.Options{InsecureSkipTLS: []string{plain.Host()}}, secure.Host(), remote.TLS, "--ca-file"},
		{"no TLS", remote.Options{}, plain.Host(), remote.TLS, "--plain-http " + plain.Host()},
		{"no TLS on localhost", remote.Options{}, local, remote.TLS, "--plain-http " + local},
		{"no TLS, not verified", remote.Options{InsecureSkipTLS: []string{plain.Host()}}, plain.Host(), remote.TLS, "--plain-http"},
		{"plain HTTP", remote.Options{PlainHTTP: []string{plain.Host()}}, plain.Host(), remote.Other, ""},
		{"plain HTTP for another host", remote.Options{PlainHTTP: []string{local}}, plain.Host(), remote.TLS, "--plain-http"},
		{"plain HTTP to TLS", remote.Options{PlainHTTP: []string{secure.Host()}}, secure.Host(), remote.Protocol, ""},
		{"nobody there", remote.Options{}, "127.0.0.1:1", remote.Unreachable, ""},
		{"no such host", remote.Options{}, "registry.invalid", remote.Unreachable, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plain.Log.Reset()
			tt.opts.Retry = fast
			err := client(t, tt.opts).Preflight(t.Context(), tt.host+"/r")
			if tt.kind == remote.Other {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e := wantError(t, err, tt.kind)
			if !strings.Contains(e.Hint, tt.hint) || e.Host != tt.host {
				t.Errorf("host %q, hint %q: %v", e.Host, e.Hint, e)
			}
			if e.Kind == remote.TLS && e.Attempts != 1 {
				t.Errorf("%d attempts", e.Attempts)
			}
			if n := plain.Log.Count("", ""); n != 0 {
				t.Errorf("%d requests went out without TLS", n)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	empty := t.TempDir() + "/empty.pem"
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]remote.Options{
		"no CA file":         {CAFile: empty + ".none"},
		"CA file with no CA": {CAFile: empty},
		"mirror with scheme": {Mirrors: map[string]string{"docker.io": "https://mirror.example"}},
		"empty mirror":       {Mirrors: map[string]string{"docker.io": ""}},
		"mirror with tag":    {Mirrors: map[string]string{"docker.io": "mirror.example/a:b"}},
	} {
		if _, err := remote.New(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// HTTPS_PROXY is honoured. net/http reads it once for each process and never
// uses it for local addresses, hence the child process and the foreign name.
func TestProxy(t *testing.T) {
	if os.Getenv("REMOTE_TEST_PROXIED") != "" {
		c := client(t, remote.Options{CAFile: os.Getenv("REMOTE_TEST_CA"), InsecureSkipTLS: []string{"registry.invalid"}})
		if err := c.Preflight(t.Context(), "registry.invalid/r"); err != nil {
			t.Fatal(err)
		}
		return
	}
	reg := start(t, regtest.Options{TLS: true})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var connects atomic.Int32
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go connectTo(conn, reg.Host(), &connects)
		}
	}()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxy$")
	cmd.Env = append(os.Environ(), "REMOTE_TEST_PROXIED=1", "HTTPS_PROXY=http://"+ln.Addr().String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if connects.Load() == 0 {
		t.Error("the proxy was not used")
	}
}

// connectTo serves one CONNECT request by a tunnel to addr, whatever it asks for.
func connectTo(conn net.Conn, addr string, connects *atomic.Int32) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	req, err := http.ReadRequest(r)
	if err != nil || req.Method != http.MethodConnect {
		return
	}
	target, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer target.Close()
	connects.Add(1)
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(target, r)
		target.Close()
	}()
	_, _ = io.Copy(conn, target)
}
