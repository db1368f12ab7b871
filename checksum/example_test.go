package checksum_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"bundle/checksum"
)

// exampleKey stands for a key file: GenerateKey makes one, ParsePrivateKey
// and ParsePublicKey read its halves.
func exampleKey() (ssh.Signer, checksum.PublicKey) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		panic(err)
	}
	public, err := checksum.ParsePublicKey(ssh.MarshalAuthorizedKey(signer.PublicKey()))
	if err != nil {
		panic(err)
	}
	return signer, public
}

// A sender lists and signs, a receiver checks.
func Example() {
	signer, public := exampleKey()

	sums := checksum.Sums{
		{Name: "oci-layout", Digest: sha256.Sum256([]byte(`{"imageLayoutVersion":"1.0.0"}`))},
		{Name: "index.json", Digest: sha256.Sum256([]byte(`{"schemaVersion":2}`))},
	}
	manifest := sums.Format()
	armored, err := checksum.Sign(manifest, signer)
	if err != nil {
		fmt.Println(err)
		return
	}

	var trust checksum.Trust
	trust.AddKey(public)
	by, err := trust.Verify(manifest, armored, time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("signed by", by.Fingerprint)
	err = checksum.Walk(manifest, func(sum checksum.Sum) error {
		fmt.Println(sum.Hex()[:12], sum.Name)
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Output:
	// signed by SHA256:fe85JkIjo8VPe+XqXJGH5Mau1EMFdK1OdKvJUFicyA8
	// bafebd36189a index.json
	// 18f0797eab35 oci-layout
}

// An allowed_signers file limits who may sign, and when.
func ExampleTrust_AddAllowedSigners() {
	signer, public := exampleKey()
	armored, err := checksum.Sign([]byte("content"), signer)
	if err != nil {
		fmt.Println(err)
		return
	}

	file := `release@example.org namespaces="bundle",valid-before="20261231Z" ` + public.String()
	var trust checksum.Trust
	if err := trust.AddAllowedSigners([]byte(file)); err != nil {
		fmt.Println(err)
		return
	}
	_, err = trust.Verify([]byte("content"), armored, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	var refused *checksum.TrustError
	if errors.As(err, &refused) && refused.Reason == checksum.Expired {
		fmt.Println(err)
	}
	// Output:
	// ssh-ed25519 key SHA256:fe85JkIjo8VPe+XqXJGH5Mau1EMFdK1OdKvJUFicyA8 is not trusted any more: allowed signers line 1 permitted it until 2026-12-31T00:00:00Z
}
