package regtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"golang.org/x/crypto/bcrypt"
)

// basicAuth writes an htpasswd file and returns the configuration that uses it.
func (r *Registry) basicAuth() (configuration.Auth, error) {
	dir, err := r.tempDir()
	if err != nil {
		return nil, err
	}
	path, err := writeHtpasswd(dir, r.opts)
	if err != nil {
		return nil, err
	}
	return configuration.Auth{"htpasswd": {"realm": "regtest", "path": path}}, nil
}

func writeHtpasswd(dir string, opts Options) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(opts.Password), bcrypt.MinCost)
	if err != nil {
		return "", fmt.Errorf("regtest: htpasswd: %w", err)
	}
	path := filepath.Join(dir, "htpasswd")
	line := opts.Username + ":" + string(hash) + "\n"
	if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
		return "", fmt.Errorf("regtest: htpasswd: %w", err)
	}
	return path, nil
}

const (
	tokenService = "regtest-registry"
	tokenIssuer  = "regtest-issuer"
	tokenPath    = "/token"
	tokenKeyID   = "regtest"
)

// tokenServer issues the bearer tokens of the distribution specification:
// https://distribution.github.io/distribution/spec/auth/token/
type tokenServer struct {
	key    *ecdsa.PrivateKey
	opts   Options
	chain  string // the key's certificate, base64 of DER, for a registry that wants it; else empty
	issued atomic.Int64
}

// tokenAuth makes a signing key and returns the configuration that trusts it.
func (r *Registry) tokenAuth() (configuration.Auth, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("regtest: token key: %w", err)
	}
	point, err := key.PublicKey.Bytes() // 4 ‖ X ‖ Y
	if err != nil {
		return nil, fmt.Errorf("regtest: token key: %w", err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	jwks, err := json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "kid": tokenKeyID, "use": "sig", "alg": "ES256",
		"x": b64(point[1:33]), "y": b64(point[33:]),
	}}})
	if err != nil {
		return nil, fmt.Errorf("regtest: token key: %w", err)
	}
	dir, err := r.tempDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "jwks.json")
	if err := os.WriteFile(path, jwks, 0o600); err != nil {
		return nil, fmt.Errorf("regtest: token key: %w", err)
	}
	r.tokens = &tokenServer{key: key, opts: r.opts}
	return configuration.Auth{"token": {
		"realm": r.URL() + tokenPath, "issuer": tokenIssuer, "service": tokenService, "jwks": path,
	}}, nil
}

// serve answers token requests itself and leaves all others to next.
func (t *tokenServer) serve(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != tokenPath {
			next.ServeHTTP(w, req)
			return
		}
		user, password, given := req.BasicAuth()
		known := t.opts.Username == "" || user == t.opts.Username && password == t.opts.Password
		if given && !known {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}`))
			return
		}
		token, err := t.issue(user, req.URL.Query()["scope"], known)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		t.issued.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": int(t.ttl().Seconds())})
	})
}

// leeway is how long a registry takes tokens that have expired (distribution,
// registry/auth/token/token.go): they are issued so much shorter.
const leeway = time.Minute

// ttl is how long a registry takes a token.
func (t *tokenServer) ttl() time.Duration {
	if t.opts.TokenTTL > 0 {
		return t.opts.TokenTTL
	}
	return 5 * time.Minute
}

// expiresAt reads until when a registry takes the bearer token of a request.
func expiresAt(req *http.Request) (time.Time, bool) {
	_, rest, _ := strings.Cut(req.Header.Get("Authorization"), ".")
	claims, _, ok := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(claims)
	var doc struct {
		Exp int64 `json:"exp"`
	}
	if !ok || err != nil || json.Unmarshal(raw, &doc) != nil {
		return time.Time{}, false
	}
	return time.Unix(doc.Exp, 0).Add(leeway), true
}

type tokenAccess struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// issue signs a token (JWS compact serialization, ES256) for what the caller may
// have of the scopes asked for.
func (t *tokenServer) issue(subject string, scopes []string, known bool) (string, error) {
	access := []tokenAccess{}
	for _, scope := range strings.Fields(strings.Join(scopes, " ")) {
		kind, rest, _ := strings.Cut(scope, ":")
		i := strings.LastIndexByte(rest, ':')
		if i < 0 {
			continue
		}
		a := tokenAccess{Type: kind, Name: rest[:i]}
		for _, action := range strings.Split(rest[i+1:], ",") {
			if known || t.opts.AnonymousPull && action == "pull" {
				a.Actions = append(a.Actions, action)
			}
		}
		access = append(access, a)
	}
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": tokenIssuer, "aud": tokenService, "sub": subject, "access": access,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(t.ttl() + time.Second - 1 - leeway).Unix(),
	})
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	header := `{"alg":"ES256","typ":"JWT","kid":"` + tokenKeyID + `"}`
	if t.chain != "" {
		header = `{"alg":"ES256","typ":"JWT","x5c":["` + t.chain + `"]}`
	}
	signed := b64([]byte(header)) + "." + b64(claims)
	sum := sha256.Sum256([]byte(signed))
	x, y, err := ecdsa.Sign(rand.Reader, t.key, sum[:])
	if err != nil {
		return "", err
	}
	sig := make([]byte, 64)
	x.FillBytes(sig[:32])
	y.FillBytes(sig[32:])
	return signed + "." + b64(sig), nil
}

// Tokens is the number of bearer tokens issued over the network.
func (r *Registry) Tokens() int {
	if r.tokens == nil {
		return 0
	}
	return int(r.tokens.issued.Load())
}

// authorize gives the Registry's own requests the right to do everything.
func (r *Registry) authorize(req *http.Request, repo string) error {
	switch {
	case r.tokens != nil:
		token, err := r.tokens.issue("regtest", []string{"repository:" + repo + ":pull,push,delete"}, true)
		if err != nil {
			return fmt.Errorf("regtest: token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	case r.opts.Username != "":
		req.SetBasicAuth(r.opts.Username, r.opts.Password)
	}
	return nil
}

// certificate makes a CA and a server certificate signed by it, and lets the
// Registry's own client trust that CA.
func (r *Registry) certificate() (*tls.Certificate, error) {
	ca, err := NewAuthority("regtest CA")
	if err != nil {
		return nil, err
	}
	cert, err := ca.certify("127.0.0.1", "::1", "localhost")
	if err != nil {
		return nil, err
	}
	r.CA = ca.PEM
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(r.CA)
	r.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	return &cert, nil
}
