package checksum

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// maxPBKDF2Rounds bounds the time that a key file can cost; ssh-keygen
// writes 2048.
const maxPBKDF2Rounds = 1_000_000

// Object identifiers of PKCS #5 (RFC 8018, appendix C) and of NIST's AES.
var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}

	aesKeyLen = map[string]int{
		"2.16.840.1.101.3.4.1.2":  16, // aes128-CBC
		"2.16.840.1.101.3.4.1.22": 24, // aes192-CBC
		"2.16.840.1.101.3.4.1.42": 32, // aes256-CBC
	}
)

// decryptPKCS8 reads an EncryptedPrivateKeyInfo (RFC 5958, section 3) with
// the one scheme that ssh-keygen -m PKCS8 uses: PBES2 with PBKDF2 and AES-CBC
// (RFC 8018, section 6.2). Neither crypto/x509 nor x/crypto/ssh reads it.
func decryptPKCS8(der, passphrase []byte) (any, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	var params struct{ KDF, Cipher pkix.AlgorithmIdentifier }
	if err := unmarshalDER(der, &info); err != nil {
		return nil, err
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("private key: encryption %s is not supported", info.Algorithm.Algorithm)
	}
	if err := unmarshalDER(info.Algorithm.Parameters.FullBytes, &params); err != nil {
		return nil, err
	}
	keyLen, ok := aesKeyLen[params.Cipher.Algorithm.String()]
	if !ok {
		return nil, fmt.Errorf("private key: cipher %s is not supported", params.Cipher.Algorithm)
	}
	var iv []byte
	if err := unmarshalDER(params.Cipher.Parameters.FullBytes, &iv); err != nil {
		return nil, err
	}
	if len(iv) != aes.BlockSize || len(info.Data) == 0 || len(info.Data)%aes.BlockSize != 0 {
		return nil, errors.New("private key: encrypted part has a wrong size")
	}
	key, err := derivePBKDF2(params.KDF, passphrase, keyLen)
	if err != nil {
		return nil, err
	}
	c, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	plain := make([]byte, len(info.Data))
	cipher.NewCBCDecrypter(c, iv).CryptBlocks(plain, info.Data)
	// There is no integrity check: with a wrong passphrase the padding, or
	// the key under it, makes no sense.
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > aes.BlockSize {
		return nil, &PassphraseError{}
	}
	raw, err := x509.ParsePKCS8PrivateKey(plain[:len(plain)-pad])
	if err != nil {
		return nil, &PassphraseError{Err: err}
	}
	return raw, nil
}

// derivePBKDF2 stretches the passphrase as RFC 8018, appendix A.2 says.
func derivePBKDF2(kdf pkix.AlgorithmIdentifier, passphrase []byte, keyLen int) ([]byte, error) {
	if !kdf.Algorithm.Equal(oidPBKDF2) {
		return nil, fmt.Errorf("private key: key derivation %s is not supported", kdf.Algorithm)
	}
	var params struct {
		Salt   []byte
		Rounds int
		KeyLen int                      `asn1:"optional"`
		PRF    pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	if err := unmarshalDER(kdf.Parameters.FullBytes, &params); err != nil {
		return nil, err
	}
	if params.Rounds < 1 || params.Rounds > maxPBKDF2Rounds {
		return nil, fmt.Errorf("private key: %d rounds of key derivation, at most %d allowed", params.Rounds, maxPBKDF2Rounds)
	}
	var prf func() hash.Hash
	switch {
	case len(params.PRF.Algorithm) == 0:
		prf = sha1.New // the default of RFC 8018; OpenSSL before 1.1 writes it
	case params.PRF.Algorithm.Equal(oidHMACSHA256):
		prf = sha256.New
	default:
		return nil, fmt.Errorf("private key: key derivation with %s is not supported", params.PRF.Algorithm)
	}
	key, err := pbkdf2.Key(prf, string(passphrase), params.Salt, params.Rounds, keyLen)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	return key, nil
}

func unmarshalDER(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err == nil && len(rest) > 0 {
		err = errors.New("trailing data")
	}
	if err != nil {
		return fmt.Errorf("private key: %w", err)
	}
	return nil
}
