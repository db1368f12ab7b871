package remote

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"bundle/bundle/internal/fault"
)

// certsFolders are where Podman, skopeo and Docker look for a folder with the
// name of a registry (containers-certs.d(5)), in this order. A variable for the
// tests.
var certsFolders = func() []string {
	system := []string{"/etc/containers/certs.d", "/etc/docker/certs.d"}
	home, err := os.UserHomeDir()
	if err != nil {
		return system
	}
	config := filepath.Join(home, ".config")
	return slices.Concat([]string{filepath.Join(config, "containers", "certs.d")}, system, []string{filepath.Join(config, "docker", "certs.d")})
}

// certsFolder is the first of these folders that there is for a host.
func (t *transport) certsFolder(host string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if folder, ok := t.folders[host]; ok {
		return folder
	}
	folder := findCerts(host)
	t.folders[host] = folder
	return folder
}

func findCerts(host string) string {
	if strings.ContainsAny(host, `/\\`) || strings.Trim(host, ".") == "" {
		return ""
	}
	for _, top := range certsFolders() {
		for _, name := range slices.Compact([]string{host, registryName(host)}) {
			folder := filepath.Join(top, name)
			if st, err := os.Stat(folder); err == nil && st.IsDir() {
				return folder
			}
		}
	}
	return ""
}

// identity is what holds for the TLS of every connection.
type identity struct {
	cas  []byte            // PEM, trusted beside the system's
	show []tls.Certificate // the client's, to servers that ask
}

// CAs are the certificates, as PEM, that a host's is verified with beside the
// system's; nil where there are none, or where nothing is verified.
func (c *Client) CAs(host string) ([]byte, error) {
	if c.opts.Plain(host) || c.opts.Insecure(host) {
		return nil, nil
	}
	files, _, err := readFolder(c.transport.certsFolder(wireHost(host)))
	if err != nil {
		return nil, err
	}
	all := certificates(c.transport.identity.cas)
	for _, name := range files {
		text, err := readCAs(name)
		if err != nil {
			return nil, err
		}
		all = append(all, certificates(text)...)
	}
	return all, nil
}

// certificates are the certificates of a PEM file, and nothing else that it has.
func certificates(text []byte) (all []byte) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return all
		}
		if block.Type == "CERTIFICATE" {
			all = append(all, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
	}
}

// readIdentity reads the files that the options name, once: they may be pipes.
func readIdentity(o Options) (id identity, err error) {
	if (o.ClientCert == "") != (o.ClientKey == "") {
		return id, errHalfPair
	}
	if o.CAFile != "" {
		if id.cas, err = readCAs(o.CAFile); err != nil {
			return id, err
		}
	}
	if o.ClientCert != "" {
		id.show, err = appendPair(nil, o.ClientCert, o.ClientKey)
	}
	return id, err
}

// tlsConfig reads the files of one kind of connection.
func (id identity) tlsConfig(files tlsFiles) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: files.Insecure}
	caFiles, pairs, err := readFolder(files.Folder)
	if err != nil {
		return nil, err
	}
	if files.CAFile != "" {
		caFiles = append(caFiles, files.CAFile)
	}
	if files.CertFile != "" && files.KeyFile != "" {
		pairs = append(pairs, [2]string{files.CertFile, files.KeyFile})
	}
	for _, p := range pairs {
		if config.Certificates, err = appendPair(config.Certificates, p[0], p[1]); err != nil {
			return nil, err
		}
	}
	config.Certificates = append(config.Certificates, id.show...)
	cas := bytes.Clone(id.cas)
	for _, name := range caFiles {
		text, err := readCAs(name)
		if err != nil {
			return nil, err
		}
		cas = append(append(cas, '\n'), text...)
	}
	if len(cas) == 0 {
		return config, nil // crypto/tls takes the system's
	}
	if config.RootCAs, err = x509.SystemCertPool(); err != nil {
		return nil, fmt.Errorf("system certificates: %w", err)
	}
	config.RootCAs.AppendCertsFromPEM(cas)
	return config, nil
}

// readFolder lists what a folder of certs.d holds: NAME.crt is a CA, NAME.cert and
// NAME.key are a client's certificate and its key.
func readFolder(folder string) (cas []string, pairs [][2]string, err error) {
	if folder == "" {
		return nil, nil, nil
	}
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrPermission) {
		return nil, nil, nil // not meant for this user, as for Podman
	}
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		name := filepath.Join(folder, e.Name())
		switch base := strings.TrimSuffix(name, filepath.Ext(name)); filepath.Ext(name) {
		case ".crt":
			cas = append(cas, name)
		case ".cert":
			pairs = append(pairs, [2]string{name, base + ".key"})
		}
	}
	return cas, pairs, nil
}

// readCAs reads a file with certificates.
func readCAs(name string) ([]byte, error) {
	text, err := readPEM(name)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", plainPath(err))
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return nil, fault.WithHint(fmt.Errorf("CA file %s: no PEM certificate inside", name), hintPEM)
	}
	return text, nil
}

const hintPEM = "want text with -----BEGIN CERTIFICATE-----; of a binary one, openssl x509 -inform der -in FILE -out ca.pem makes it"

type noFile struct{ *fs.PathError }

func (e *noFile) Error() string { return e.Path + ": no such file" }
func (e *noFile) Unwrap() error { return e.PathError }

// plainPath says which file there is not as the other files of a command line.
func plainPath(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) && errors.Is(err, fs.ErrNotExist) {
		return fault.WithHint(&noFile{at}, fault.HintPath)
	}
	return err
}

// appendPair reads a client's certificate and its key.
func appendPair(to []tls.Certificate, certFile, keyFile string) ([]tls.Certificate, error) {
	cert, err := readPEM(certFile)
	if err != nil {
		return nil, fmt.Errorf("client certificate: %w", plainPath(err))
	}
	key, err := readPEM(keyFile)
	if err != nil {
		return nil, fmt.Errorf("key of client certificate %s: %w", certFile, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("client certificate %s with key %s: %w", certFile, keyFile, err)
	}
	return append(to, pair), nil
}

// maxPEM is the size up to which a PEM file is read, in bytes: bundles of all
// public CAs have less than one MiB.
const maxPEM = 16 << 20

// pipeTime is how long the writer of a pipe is waited for.
const pipeTime = 10 * time.Second

// readPEM reads a file that the user named. It may be a pipe, but not one that
// nobody writes to, or one without an end.
func readPEM(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(pipeTime)) // files that are none have no deadlines, and need none
	b, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err == nil && len(b) > maxPEM {
		err = fmt.Errorf("%s is larger than %d MiB", name, maxPEM>>20)
	}
	return b, err
}

var errHalfPair = errors.New("a client certificate and its key go together")
