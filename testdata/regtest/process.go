package regtest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"sigs.k8s.io/yaml"
)

// ProcessName is the program that StartProcess runs; Debian's package of the
// same name has it (distribution 2.8).
const ProcessName = "docker-registry"

// ErrNoProcess says that the program is not installed.
var ErrNoProcess = errors.New("regtest: " + ProcessName + " is not installed")

var listening = regexp.MustCompile(`listening on ([^\s,"]+)`)

// StartProcess runs the operating system's docker-registry as a child process,
// with its own TLS, and with htpasswd authentication or, with Token, a token
// server on another port. It has no log and takes no faults: put StartFront
// before it for those. Addr, HTTP2 and Wrap do not apply. It fails with
// [ErrNoProcess] where the program is missing.
func StartProcess(opts Options) (*Registry, error) {
	bin, err := exec.LookPath(ProcessName)
	if err != nil {
		return nil, ErrNoProcess
	}
	if opts.Wrap != nil || opts.Addr != "" {
		return nil, errors.New("regtest: option not supported for a process")
	}
	r := &Registry{opts: opts, scheme: "http", Log: &Log{}, client: &http.Client{Transport: &http.Transport{}}}
	if err := r.startProcess(bin); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Registry) startProcess(bin string) error {
	dir, err := r.tempDir()
	if err != nil {
		return err
	}
	config, err := r.processConfig(dir)
	if err != nil {
		return err
	}
	r.config = config
	cmd := exec.Command(bin, "serve", config)
	cmd.Dir = dir
	// It makes a buffer of 4 MB for each blob that is read; by default that is a
	// garbage collection each.
	cmd.Env = append(os.Environ(), "GOGC=400")
	out, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("regtest: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("regtest: start %s: %w", ProcessName, err)
	}
	drained := make(chan struct{})
	r.close = append(r.close, func() {
		_ = cmd.Process.Kill()
		<-drained
		_ = cmd.Wait() // it was killed
	})
	lines := bufio.NewScanner(out)
	var said string
	for lines.Scan() {
		said += lines.Text() + "\n"
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			r.host = m[1]
			break
		}
	}
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, out)
	}()
	if r.host == "" {
		return fmt.Errorf("regtest: %s did not start: %.2000s", ProcessName, said)
	}
	return nil
}

// processConfig writes the configuration with everything it names into dir.
func (r *Registry) processConfig(dir string) (string, error) {
	web := map[string]any{"addr": "127.0.0.1:0", "secret": "not a secret"}
	storage := map[string]any{
		"delete":      map[string]any{"enabled": true},
		"maintenance": map[string]any{"uploadpurging": map[string]any{"enabled": false}},
	}
	config := map[string]any{
		"version": 0.1,
		"log":     map[string]any{"level": "info", "accesslog": map[string]any{"disabled": true}},
		"storage": storage,
		"http":    web,
	}
	if r.opts.Dir == "" {
		storage["inmemory"] = map[string]any{}
	} else {
		storage["filesystem"] = map[string]any{"rootdirectory": r.opts.Dir}
	}
	if r.opts.CacheOf != "" {
		config["proxy"] = map[string]any{"remoteurl": r.opts.CacheOf}
	}
	var pair *tls.Certificate
	if r.opts.TLS {
		r.scheme = "https"
		var err error
		if pair, err = r.certificate(); err != nil {
			return "", err
		}
		key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
		if err != nil {
			return "", fmt.Errorf("regtest: key: %w", err)
		}
		certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		web["tls"] = map[string]any{"certificate": certFile, "key": keyFile}
		err = errors.Join(
			os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600),
			os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
		if err != nil {
			return "", fmt.Errorf("regtest: certificate: %w", err)
		}
	}
	auth, err := r.processAuth(dir, pair)
	if err != nil {
		return "", err
	}
	if auth != nil {
		config["auth"] = auth
	}
	raw, err := yaml.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("regtest: configuration: %w", err)
	}
	path := filepath.Join(dir, "config.yml")
	return path, os.WriteFile(path, raw, 0o600)
}

// processAuth is the part of the configuration about who may do what; nil:
// everybody everything.
func (r *Registry) processAuth(dir string, pair *tls.Certificate) (map[string]any, error) {
	switch {
	case r.opts.Token:
		return r.processTokens(dir, pair)
	case r.opts.Username != "":
		path, err := writeHtpasswd(dir, r.opts)
		return map[string]any{"htpasswd": map[string]any{"realm": "regtest", "path": path}}, err
	}
	return nil, nil
}

// processTokens starts a token server, with the registry's own certificate where
// it has one, and returns the configuration that trusts it.
func (r *Registry) processTokens(dir string, pair *tls.Certificate) (map[string]any, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("regtest: token key: %w", err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: tokenIssuer},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("regtest: token key: %w", err)
	}
	r.tokens = &tokenServer{key: key, opts: r.opts, chain: base64.StdEncoding.EncodeToString(der)}
	path := filepath.Join(dir, "tokens.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return nil, fmt.Errorf("regtest: token key: %w", err)
	}
	srv := httptest.NewUnstartedServer(r.tokens.serve(http.NotFoundHandler()))
	if pair != nil {
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{*pair}}
		srv.StartTLS()
	} else {
		srv.Start()
	}
	r.close = append(r.close, srv.Close)
	return map[string]any{"token": map[string]any{
		"realm": srv.URL + tokenPath, "issuer": tokenIssuer, "service": tokenService, "rootcertbundle": path,
	}}, nil
}
