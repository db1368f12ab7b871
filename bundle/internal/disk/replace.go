package disk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A File is what is to be written.
type File struct {
	Content []byte
	From    io.Reader // in the place of Content; nil: none
	Private bool      // for the user's own eyes, whatever the umask says
	Program bool      // to be run
	Seed    bool      // a beginning for the user to go on with: one that somebody changed stays as it is
}

func (f File) mode() fs.FileMode {
	switch {
	case f.Private:
		return 0o600
	case f.Program:
		return 0o777
	}
	return 0o666 // less the umask
}

// ListName is the file in which Replace notes what it wrote, one line
// "SHA256  NAME" each, as sha256sum -c reads it.
const ListName = ".bundle-files"

// Replace writes files below dir, and takes away those of its earlier calls that
// are not among them. A file that somebody changed since, or that was there by
// other means, is never taken away; the names of changed ones are returned. Links
// that stand there already, and lead out of dir, are not followed.
func Replace(dir string, files map[string]File) (changed []string, err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	old, err := readList(root)
	if err != nil {
		return nil, err
	}
	now := make(list)
	files = maps.Clone(files)
	for name, f := range files {
		if f.Seed && old.foreign(root, filepath.ToSlash(name)) {
			delete(files, name)
			delete(old, filepath.ToSlash(name))
			continue
		}
		now.add(filepath.ToSlash(name), sum(f.Content))
	}
	// Whatever happens from here on, the next call knows what may lie here.
	if err := write(root, ListName, File{Content: old.and(now).text()}); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := root.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return nil, err
		}
		if err := write(root, name, files[name]); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if now[name] != nil {
			continue
		}
		ours, err := old.remove(root, name)
		if err != nil {
			return nil, err
		}
		if !ours {
			changed = append(changed, name)
		}
	}
	return changed, write(root, ListName, File{Content: now.text()})
}

// A list says which contents were written under which names.
type list map[string][]string

func (l list) add(name, sum string) {
	if !slices.Contains(l[name], sum) {
		l[name] = append(l[name], sum)
	}
}

func (l list) and(other list) list {
	both := make(list)
	for _, part := range []list{l, other} {
		for name, sums := range part {
			for _, s := range sums {
				both.add(name, s)
			}
		}
	}
	return both
}

func (l list) text() []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(l)) {
		for _, s := range l[name] {
			fmt.Fprintf(&b, "%s  %s\n", s, name)
		}
	}
	return b.Bytes()
}

// maxList bounds a list that is read, in bytes.
const maxList = 64 << 20

// readList reads what an earlier call noted. Lines that it would not have written
// count for nothing.
func readList(root *os.Root) (list, error) {
	l := make(list)
	st, err := root.Lstat(ListName)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!st.Mode().IsRegular() || st.Size() > maxList) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := root.ReadFile(ListName)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		s, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if ok && len(s) == hex.EncodedLen(sha256.Size) && filepath.IsLocal(name) && name != ListName {
			l.add(name, s)
		}
	}
	return l, nil
}

// foreign tells whether there is a file whose content is none that was written.
func (l list) foreign(root *os.Root, name string) bool {
	b, err := root.ReadFile(name)
	return err == nil && !slices.Contains(l[name], sum(b))
}

// remove takes a file away, and the folders that it leaves empty; ours is false
// when its content is none that was written.
func (l list) remove(root *os.Root, name string) (ours bool, err error) {
	st, err := root.Lstat(name)
	if err != nil || !st.Mode().IsRegular() {
		return err != nil, nil // somebody took it away, or put something else there
	}
	b, err := root.ReadFile(name)
	if err != nil {
		return false, err
	}
	if !slices.Contains(l[name], sum(b)) {
		return false, nil
	}
	if err := root.Remove(name); err != nil {
		return false, err
	}
	for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
		if root.Remove(dir) != nil {
			break // something is in it
		}
	}
	return true, nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
