package hostile

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"bundle/checksum"
)

// raw signs without any of the checks that a signer should make.
func raw(message []byte, s ssh.Signer, namespace string) []byte {
	return sshsig.Armor(must(sshsig.Sign(bytes.NewReader(message), s, sshsig.HashSHA512, namespace)))
}

// relabel puts the trusted key into a signature by another.
func relabel(sums []byte) []byte {
	sig := must(sshsig.Sign(bytes.NewReader(sums), key(9), sshsig.HashSHA512, checksum.Namespace))
	sig.PublicKey = Signer().PublicKey()
	return sshsig.Armor(sig)
}

// certified signs with a certificate that an authority nobody knows gave to
// the trusted key.
func certified(sums []byte) []byte {
	cert := &ssh.Certificate{
		Key: Signer().PublicKey(), CertType: ssh.UserCert, KeyId: "hostile",
		ValidPrincipals: []string{"release@example.com"}, ValidBefore: ssh.CertTimeInfinity,
	}
	if err := cert.SignCert(rand.Reader, key(9)); err != nil {
		panic(err)
	}
	sig := must(sshsig.Sign(bytes.NewReader(sums), Signer(), sshsig.HashSHA512, checksum.Namespace))
	sig.PublicKey = cert
	return sshsig.Armor(sig)
}

func weak(sums []byte) []byte {
	return raw(sums, must(ssh.NewSignerFromKey(must(rsa.GenerateKey(rand.Reader, 1024)))), checksum.Namespace)
}

func signed(sign func(sums []byte) []byte) func() Content { return attack{sign: sign}.make() }

func signatures() []Case {
	return []Case{
		{"signature", "none", Untrusted, "not signed", signed(func([]byte) []byte { return nil })},
		{"signature", "empty", Untrusted, "not signed", signed(func([]byte) []byte { return []byte{} })},
		{"signature", "stranger", Untrusted, "which is not trusted", signed(func(b []byte) []byte { return raw(b, key(9), checksum.Namespace) })},
		{"signature", "other namespace", Untrusted, `made for namespace "file"`, signed(func(b []byte) []byte { return raw(b, Signer(), "file") })},
		{"signature", "of another bundle", Untrusted, "not valid for this content", signed(func([]byte) []byte { return raw([]byte("else"), Signer(), checksum.Namespace) })},
		{"signature", "key relabeled", Untrusted, "not valid for this content", signed(relabel)},
		{"signature", "certificate by a stranger", Untrusted, "which no cert-authority line lists", signed(certified)},
		{"signature", "weak key", Untrusted, "RSA of 1024 bits", signed(weak)},
		{"signature", "two in one file", Untrusted, "more than one signature", signed(func(b []byte) []byte {
			s := raw(b, Signer(), checksum.Namespace)
			return append(s, s...)
		})},
		{"signature", "text before", Untrusted, "does not begin with", signed(func(b []byte) []byte {
			return append([]byte("trust me\n"), raw(b, Signer(), checksum.Namespace)...)
		})},
		{"signature", "PGP", Untrusted, "does not begin with", signed(func(b []byte) []byte {
			return bytes.ReplaceAll(raw(b, Signer(), checksum.Namespace), []byte("SSH SIG"), []byte("PGP SIG"))
		})},
		{"signature", "of a megabyte", Damaged, "more than the 65536 allowed", signed(func(b []byte) []byte {
			return append(raw(b, Signer(), checksum.Namespace), make([]byte, 1<<20)...)
		})},
		{"signature", "list changed after it", Untrusted, "not valid for this content", attack{after: func(b []byte) []byte {
			return bytes.Replace(b, []byte("index.json"), []byte("Index.json"), 1)
		}}.make()},
		{"signature", "list shortened after it", Untrusted, "not valid for this content", attack{after: func(b []byte) []byte {
			return b[bytes.IndexByte(b, '\n')+1:]
		}}.make()},
	}
}

// lines edits SHA256SUMS.
func lines(edit func([]string) []string) func() Content { return attack{sums: edit}.make() }

func join(text string) func() Content {
	return lines(func(l []string) []string { return []string{text} })
}

// changed replaces the digest of one line.
func changed(name string) func() Content {
	return lines(func(l []string) []string {
		for i := range l {
			if strings.HasPrefix(l[i][66:], name) {
				l[i] = line([]byte("else"), strings.TrimSuffix(l[i][66:], "\n"))
			}
		}
		return l
	})
}

// extraLine adds one line in its place.
func extraLine(name string) func() Content {
	return lines(func(l []string) []string {
		for i := range l {
			if l[i][66:] > name {
				return append(l[:i:i], append([]string{line(nil, name)}, l[i:]...)...)
			}
		}
		return append(l, line(nil, name))
	})
}

// sets are bundles whose entries and list are two sets.
func sets() []Case {
	return []Case{
		{"list", "empty", Damaged, "empty", join("")},
		{"list", "not a list", Damaged, "not 64 hexadecimal digits", join("signed, sealed, delivered\n")},
		{"list", "line missing", Damaged, "not listed in SHA256SUMS", lines(func(l []string) []string { return l[1:] })},
		{"list", "line of index.json missing", Damaged, "index.json: in the bundle, but not listed", lines(func(l []string) []string {
			return append(l[:len(l)-2], l[len(l)-1])
		})},
		{"list", "file that is not there", Damaged, "not in the bundle", extraLine("blobs/sha256/" + strings.Repeat("0", 64))},
		{"list", "file outside", Damaged, "not a plain relative path", extraLine("../../etc/passwd")},
		{"list", "absolute file", Damaged, "not a plain relative path", extraLine("/etc/passwd")},
		{"list", "itself", Damaged, "cannot hold its own checksum", extraLine("SHA256SUMS")},
		{"list", "its signature", Damaged, "cannot hold its own checksum", extraLine("SHA256SUMS.sig")},
		{"list", "terminal codes", Damaged, "byte 0x1b", extraLine("x\x1b[2J")},
		{"list", "blob under another digest", Damaged, "listed in SHA256SUMS with digest", changed("blobs/")},
		{"list", "index.json under another digest", Damaged, "content has the digest", changed("index.json")},
		{"list", "oci-layout under another digest", Damaged, "content has the digest", changed("oci-layout")},
		{"list", "not sorted", Damaged, "not sorted", lines(func(l []string) []string { l[0], l[1] = l[1], l[0]; return l })},
		{"list", "line twice", Damaged, "occurs twice", lines(func(l []string) []string { return append(l[:1:1], l...) })},
		{"list", "CRLF", Damaged, "byte 0x0d", lines(func(l []string) []string { l[0] = l[0][:len(l[0])-1] + "\r\n"; return l })},
		{"list", "upper-case digits", Damaged, "upper-case", lines(func(l []string) []string { l[0] = strings.ToUpper(l[0][:64]) + l[0][64:]; return l })},
		{"list", "binary mode", Damaged, "not 64 hexadecimal digits", lines(func(l []string) []string { l[0] = l[0][:65] + "*" + l[0][66:]; return l })},
		{"list", "last newline missing", Damaged, "no newline", lines(func(l []string) []string {
			l[len(l)-1] = strings.TrimSuffix(l[len(l)-1], "\n")
			return l
		})},
		{"list", "entry that nobody listed", Damaged, "not listed in SHA256SUMS", attack{entries: func(l []entry) []entry {
			return append(l, entry{name: "blobs/sha256/" + strings.Repeat("f", 64), data: []byte("x")})
		}}.make()},
		{"list", "blob that nothing leads to", Damaged, "leads to this blob", attack{blobs: func(b blobs) { b.put("", []byte("stowaway")) }}.make()},
		{"list", "content of a blob changed", Damaged, "content has the digest", attack{entries: func(l []entry) []entry {
			for i := range l {
				if bytes.HasPrefix(l[i].data, []byte("{")) && i > atIndex {
					l[i].data = append([]byte(" "), l[i].data[:len(l[i].data)-1]...)
				}
			}
			return l
		}}.make()},
		{"list", "two blobs swapped", Damaged, "content has the digest", attack{entries: func(l []entry) []entry {
			l[atBlob].data, l[atBlob+1].data = l[atBlob+1].data, l[atBlob].data
			return l
		}}.make()},
	}
}

// truncations cut a good bundle at every boundary of its structure, and beside
// it.
func truncations() []Case {
	var all []Case
	add := func(name string, n int) {
		all = append(all, Case{"truncation", name, Damaged, "truncated", attack{bytes: func(b []byte, _ offsets) []byte { return b[:n] }}.make()})
	}
	var whole []byte
	var at offsets
	var list []entry
	attack{entries: func(l []entry) []entry { list = l; return l }, bytes: func(b []byte, o offsets) []byte {
		whole, at = b, o
		return b
	}}.content()
	for i, e := range list {
		name := e.name
		if i >= atBlob {
			name = fmt.Sprintf("blob %d", i-atBlob+1)
		}
		data := at[i] + blockSize
		if i == 0 {
			all = append(all, Case{"truncation", "at the first byte", Usage, "an empty file", attack{bytes: func(b []byte, _ offsets) []byte { return b[:0] }}.make()})
		} else {
			add("before the header of "+name, at[i])
		}
		add("in the header of "+name, at[i]+blockSize/2)
		add("before the content of "+name, data)
		add("in the content of "+name, data+len(e.data)/2)
		add("behind the content of "+name, data+len(e.data))
	}
	add("before the end", len(whole)-2*blockSize)
	add("between the two blocks of the end", len(whole)-blockSize)
	add("in the first block of the end", len(whole)-3*blockSize/2)
	add("in the second block of the end", len(whole)-blockSize/2)
	add("one byte before the end", len(whole)-1)
	return all
}
