package chart

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"sync"
	"time"
)

// certificate has what the functions for certificates return.
type certificate struct{ Cert, Key string }

// keyStubs are what functions that generate keys and passwords return in probes:
// they are slow, and nobody looks at the result. The key material is a real
// certificate and key, so templates that parse it work.
var keyStubs = sync.OnceValue(func() map[string]any {
	const hash = "$2a$10$stubstubstubstubstubsOeHWRZ8rYJvRCm9i6bNfYkOHvU6kQ2a"
	key, cert := stubKeyPair()
	both := certificate{Cert: cert, Key: key}
	return map[string]any{
		"genPrivateKey":            key,
		"derivePassword":           "stub-password",
		"bcrypt":                   hash,
		"htpasswd":                 "stub:" + hash,
		"genCA":                    both,
		"genCAWithKey":             both,
		"genSelfSignedCert":        both,
		"genSelfSignedCertWithKey": both,
		"genSignedCert":            both,
		"genSignedCertWithKey":     both,
	}
})

// stubKeyPair is one key and self-signed certificate per process, as PEM; a child has
// those of its parent.
var stubKeyPair = sync.OnceValues(func() (key, cert string) {
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		panic(err) // nor does P-256 marshalling
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stub"},
		NotBefore: now, NotAfter: now.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic(err)
	}
	return encode("EC PRIVATE KEY", der), encode("CERTIFICATE", signed)
})
