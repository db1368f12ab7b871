package cosign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// A Key is a public key that cosign signs with.
type Key struct {
	Fingerprint string // sha256: and the hex of the SHA-256 of the DER form, which openssl pkey -pubin -outform DER writes
	public      crypto.PublicKey
}

// minRSA is the least number of bits of an RSA key.
const minRSA = 2048

// parseKey reads a public key in PEM, as cosign.pub is.
func parseKey(text []byte) (Key, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return Key{}, errors.New("no public key in PEM")
	case block.Type != "PUBLIC KEY":
		return Key{}, fmt.Errorf("a %s, and no public key", block.Type)
	}
	if next, _ := pem.Decode(rest); next != nil {
		return Key{}, errors.New("more than one key")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Key{}, err
	}
	switch k := public.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA {
			return Key{}, fmt.Errorf("an RSA key of %d bits; at least %d are wanted", n, minRSA)
		}
	default:
		return Key{}, fmt.Errorf("a key of type %T is not known", public)
	}
	sum := sha256.Sum256(block.Bytes)
	return Key{Fingerprint: "sha256:" + hex.EncodeToString(sum[:]), public: public}, nil
}

// signed reports whether the key made a signature of text.
func (k Key) signed(text, signature []byte) bool {
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		h := crypto.SHA256
		switch public.Curve {
		case elliptic.P384():
			h = crypto.SHA384
		case elliptic.P521():
			h = crypto.SHA512
		}
		// cosign hashes with SHA-256 whatever the curve, unless told otherwise.
		return ecdsa.VerifyASN1(public, digestOf(crypto.SHA256, text), signature) ||
			h != crypto.SHA256 && ecdsa.VerifyASN1(public, digestOf(h, text), signature)
	case ed25519.PublicKey:
		return ed25519.Verify(public, text, signature) ||
			ed25519.VerifyWithOptions(public, digestOf(crypto.SHA512, text), signature, &ed25519.Options{Hash: crypto.SHA512}) == nil
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digestOf(crypto.SHA256, text), signature) == nil
	}
	return false
}

func digestOf(h crypto.Hash, text []byte) []byte {
	sum := h.New()
	sum.Write(text)
	return sum.Sum(nil)
}
