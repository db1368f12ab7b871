// Package checksum says what a set of files must contain and who vouches for
// it: a SHA256SUMS manifest, and SSH signatures over it.
//
// The manifest ([Sums], [Walk], [Sums.Format]) is what sha256sum -c reads, in
// one canonical form only, so that equal content has equal bytes and a
// signature covers exactly what a reader sees.
//
// Signatures ([Sign], [Trust.Verify]) are armored SSH signatures, made and
// checked with the keys people have: OpenSSH key files, ssh-agent, FIDO
// security keys. ssh-keygen -Y verify accepts them, and they are bound to
// [Namespace], so that a signature made for another purpose is never taken for
// one of ours. Whom to believe is a [Trust]: public keys, lines of an OpenSSH
// allowed_signers file, or both.
//
// The package works on bytes in memory. It opens no file, knows no network and
// asks nobody: a passphrase comes from a callback, the connection to ssh-agent
// from the caller. SPEC.md in this folder describes the bytes, and how to
// check them by hand.
//
//	sums := checksum.Sums{{Name: "index.json", Digest: sha256.Sum256(index)}}
//	manifest := sums.Format()
//	armored, err := checksum.Sign(manifest, key)
//	…
//	var trust checksum.Trust
//	trust.AddKey(pub)
//	signer, err := trust.Verify(manifest, armored, time.Now())
//	…
//	err = checksum.Walk(manifest, func(s checksum.Sum) error { … })
package checksum
