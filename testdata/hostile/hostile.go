// Package hostile makes bundles that have to be refused, each for one reason.
//
// A [Case] is one of them. Its bundle is whole but for what its name says:
// where somebody who holds a trusted key could have made it, everything is
// listed and signed anew, so that no other check stands in front of the one
// that is meant. What is signed with [Signer] is trusted by whoever trusts
// [PublicKey].
//
// The bundles are written here from the format's description (layout/SPEC.md),
// and not with the code that writes and reads them elsewhere. Those of
// gigabytes exist as holes in a file, or as what is computed where it is read:
//
//	for _, c := range hostile.Cases() {
//		content := c.Make()
//		_, err := open(content, content.Size)
//		// err has to be of the kind c.Exit, and say c.Message
//	}
package hostile

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Exit codes of the program, see its README.
const (
	Usage     = 2 // it is something else than a bundle
	Untrusted = 3
	Damaged   = 4
)

// A Case is one hostile bundle.
type Case struct {
	Class   string // what kind of attack it is
	Name    string // unique within the class
	Exit    int    // how the program has to end
	Message string // part of what it has to say
	Make    func() Content
}

// Large reports whether a bundle takes much time to make; it has more than 64 KiB.
func (c Case) Large() bool {
	return slices.Contains([]string{
		"archive of 101 MB", "bomb of folders", "subchart that is zeros",
		"record of 17 MB", "fifty thousand charts", "eighty thousand layers",
	}, c.Name)
}

// Content is a bundle that need not exist in memory.
type Content struct {
	io.ReaderAt
	Size  int64
	parts []part // nil: too large for a file even with holes
}

// WriteFile writes the bundle, with holes where it is large, and reports false
// when even that would take too much.
func (c Content) WriteFile(path string) (ok bool, err error) {
	if c.parts == nil && c.Size > 0 {
		return false, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	at := int64(0)
	for _, p := range c.parts {
		if len(p.data) > 0 {
			if _, err := f.WriteAt(p.data, at); err != nil {
				return false, err
			}
		}
		at += p.size()
	}
	return true, f.Truncate(c.Size)
}

// A part is data, or else a number of zeros.
type part struct {
	data  []byte
	zeros int64
}

func (p part) size() int64 { return int64(len(p.data)) + p.zeros }

func content(parts ...part) Content {
	c := Content{parts: parts}
	for _, p := range parts {
		c.Size += p.size()
	}
	c.ReaderAt = partsReader(parts)
	return c
}

func whole(b []byte) Content { return content(part{data: b}) }

// partsReader reads parts one behind the other.
type partsReader []part

func (r partsReader) ReadAt(p []byte, offset int64) (n int, err error) {
	for _, x := range r {
		if offset >= x.size() {
			offset -= x.size()
			continue
		}
		var m int
		if x.data != nil {
			m = copy(p[n:], x.data[offset:])
		} else {
			m = int(min(int64(len(p)-n), x.zeros-offset))
			clear(p[n : n+m])
		}
		n, offset = n+m, 0
		if n == len(p) {
			return n, nil
		}
	}
	return n, io.EOF
}

// Cases makes all of them. They are no variables, since programs with these tests run
// themselves as children, which would make them too.
func Cases() []Case {
	var all []Case
	for _, class := range [][]Case{
		signatures(), truncations(), headers(), specials(), names(), sizes(), sets(), ends(), floods(),
		documents(), manifests(), graphs(), references(), records(), deltas(), charts(), archives(),
	} {
		all = append(all, class...)
	}
	return all
}

// Good returns the bundle that the others are made from: nothing is wrong with
// it. Its one layer, of so many bytes, is the largest part of it.
func Good(layer int) Content {
	return attack{layer: bytes.Repeat([]byte("a layer. "), layer/9+1)[:layer]}.content()
}

func key(seed byte) ssh.Signer {
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	return must(s, err)
}

// Signer is the key that good bundles are signed with.
func Signer() ssh.Signer { return key(1) }

// PublicKey is its public half, as in a .pub file.
func PublicKey() []byte { return ssh.MarshalAuthorizedKey(Signer().PublicKey()) }

// must is for what can fail only through a mistake in this package.
func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("hostile: %v", err))
	}
	return v
}
