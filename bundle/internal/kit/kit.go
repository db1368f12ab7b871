// Package kit puts beside a bundle what the far side needs to read it: the program
// itself, its checksum, and a page that says what to do first.
//
// The contract: all of it lies beside the bundle, never in it; a program is what it
// is said to be, by what Go noted in it; what is in the way and was not written by
// this package is not replaced; each file appears whole or not at all.
//
//	k, err := kit.Open(ctx, kit.Wanted{Platforms: []string{"linux/amd64"}})
//	if err != nil { … }
//	defer k.Close()
//	err = k.Describe(kit.About{Bundle: "app.bundle.tar", Fingerprint: f, Sign: sign})
//	err = k.Write(ctx, "/media/stick")
package kit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/fault"
	"bundle/checksum"
)

// The files that are no programs.
const (
	pageName      = "READ-ME-FIRST.txt"
	listName      = "READ-ME-FIRST.sha256" // what sha256sum -c reads
	signatureName = listName + ".sig"
)

// Wanted says for whom a kit is.
type Wanted struct {
	Platforms []string // OS/ARCH of machines on the far side
	Folder    string   // with archives of a release, or programs; empty: this program alone
	Version   string   // of this program: of several archives, that one is taken
}

// A Kit is what lies beside a bundle. Its methods may be called from several
// goroutines once it was described.
type Kit struct {
	Programs []Program

	files   []file // in the order in which they are written
	mu      sync.Mutex
	written []Written
}

// A Program is this program for some platform.
type Program struct {
	Platform string
	Name     string // of the file beside the bundle
	From     string // file that it came out of
	Size     int64
	Dynamic  bool // it needs libraries of the machine that it was linked on

	sum     checksum.Sum
	content *os.File
	close   func() error
}

// A file is one to be written.
type file struct {
	sum      checksum.Sum // with its name
	platform string       // of a program
	content  io.ReaderAt
	size     int64
}

// A Written is a file that lies beside a bundle now.
type Written struct {
	Path     string
	Platform string // of a program
	Size     int64
	SHA256   string
	Kept     bool // it was there
}

// SHA256 is the checksum in hexadecimal digits.
func (p Program) SHA256() string { return p.sum.Hex() }

// Close lets go of the programs.
func (k *Kit) Close() error {
	var err error
	for _, p := range k.Programs {
		err = errors.Join(err, p.close())
	}
	return err
}

// Describe completes a kit for one bundle.
func (k *Kit) Describe(a About) error {
	k.files = nil
	var sums checksum.Sums
	for _, p := range k.Programs {
		k.files = append(k.files, file{p.sum, p.Platform, p.content, p.Size})
	}
	page, err := a.page(k.Programs)
	if err != nil {
		return err
	}
	k.add(pageName, page)
	for _, f := range k.files {
		sums = append(sums, f.sum)
	}
	list := sums.Format()
	k.add(listName, list)
	if a.Sign == nil {
		return nil
	}
	sig, err := a.Sign(list)
	if err != nil {
		return err
	}
	k.add(signatureName, sig)
	return nil
}

func (k *Kit) add(name string, content []byte) {
	k.files = append(k.files, file{sum: checksum.Sum{Name: name, Digest: sha256.Sum256(content)}, content: bytes.NewReader(content), size: int64(len(content))})
}

// Room is about what the kit will take, before it is described.
func (k *Kit) Room() (n int64) {
	for _, p := range k.Programs {
		n += p.Size + 64<<10
	}
	return n + 3*64<<10
}

// Size is what the kit takes in a folder, in bytes, with what the file system needs
// for it.
func (k *Kit) Size() (n int64) {
	for _, f := range k.files {
		n += f.size + 64<<10
	}
	return n
}

// Need is how many bytes the kit still takes in a folder. It refuses files that are
// in the way.
func (k *Kit) Need(folder string) (n int64, err error) {
	for _, f := range k.files {
		path := filepath.Join(folder, f.sum.Name)
		same, err := f.there(path)
		if err != nil {
			return 0, err
		}
		if !same {
			n += f.size + 64<<10
		}
	}
	return n, nil
}

// there reports whether a file is what it has to be already.
func (f file) there(path string) (same bool, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() || !f.ours(path) {
		return false, &fault.UsageError{
			What:   path + " is in the way, and nothing that --with-tool wrote: it is not replaced",
			Advice: "remove it, or write the bundle into another folder",
		}
	}
	if info.Size() != f.size {
		return false, nil
	}
	sum, err := hashFile(path)
	return err == nil && sum == f.sum.Digest, nil
}

// ours reports whether a file that stands in the place of another is of its kind.
func (f file) ours(path string) bool {
	if f.platform != "" {
		r, err := os.Open(path)
		if err != nil {
			return false
		}
		defer r.Close()
		return identify(r, f.platform) == nil
	}
	begin := beginOf(path, 4096)
	switch f.sum.Name {
	case pageName:
		return strings.HasPrefix(begin, pageTitle+"\n")
	case signatureName:
		return strings.HasPrefix(begin, "-----BEGIN SSH SIGNATURE-----\n")
	default:
		return strings.Contains(begin, "  "+pageName+"\n")
	}
}

func beginOf(path string, n int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, n)) // what cannot be read is not ours
	return string(b)
}

// Write puts all files into a folder; those that are there stay.
func (k *Kit) Write(ctx context.Context, folder string) error {
	for _, f := range k.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(folder, f.sum.Name)
		same, err := f.there(path)
		if err != nil {
			return err
		}
		if !same {
			content := disk.File{From: io.NewSectionReader(f.content, 0, f.size), Program: f.platform != ""}
			if err := disk.Write(path, content); err != nil {
				return err
			}
		}
		k.note(Written{path, f.platform, f.size, f.sum.Hex(), same})
	}
	if len(k.files) > 0 && k.files[len(k.files)-1].sum.Name != signatureName {
		return dropSignature(filepath.Join(folder, signatureName))
	}
	return nil
}

// dropSignature removes the signature of an earlier kit, which is not one of this list.
func dropSignature(path string) error {
	if !(file{sum: checksum.Sum{Name: signatureName}}).ours(path) {
		return nil
	}
	return os.Remove(path)
}

func (k *Kit) note(w Written) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.written = slices.DeleteFunc(k.written, func(old Written) bool { return old.Path == w.Path })
	k.written = append(k.written, w)
}

// Written lists what was written, sorted.
func (k *Kit) Written() []Written {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := slices.Clone(k.written)
	slices.SortFunc(all, func(a, b Written) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// Warnings say what may go wrong with the programs.
func (k *Kit) Warnings() (all []string) {
	for _, p := range k.Programs {
		if p.Dynamic {
			all = append(all, fmt.Sprintf("%s needs libraries as this machine has them: a program of a release needs none (--tool-dir)", p.Name))
		}
	}
	return all
}
