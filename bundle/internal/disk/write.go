// Package disk writes files that are carried away on media: each appears under
// its name whole or not at all, and is on the disk when the call returns.
//
// The contract: links that stand in a folder already and lead out of it are not
// followed, and whether there is room is found out before work begins.
//
//	changed, err := disk.Replace(dir, map[string]disk.File{"app/values.yaml": {Content: values}})
package disk

import (
	"cmp"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"bundle/bundle/internal/fault"
)

// CheckNew requires that Create could make a file: whoever answers questions for it first
// hears of that before.
func CheckNew(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return existing(path)
	}
	if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		return noFolder(path)
	}
	return nil
}

func existing(path string) error {
	return &fault.UsageError{What: path + " exists already", Advice: "choose another name: a key that signed bundles must not be lost"}
}

func noFolder(path string) error {
	return fault.Input(path, errors.New("no folder "+filepath.Dir(path)), "make it first: mkdir -p "+filepath.Dir(path))
}

// Create makes the file of a key, and replaces none.
func Create(path string, b []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return existing(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return noFolder(path)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fault.Input(path, errors.New("no permission to write there"), "choose another folder")
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// CheckWritable requires that WriteFile could put something under path.
func CheckWritable(path string) error {
	dir, base := filepath.Split(path)
	probe, err := os.CreateTemp(cmp.Or(dir, "."), "."+base+".*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// WriteFile puts content under path, whole or not at all, and on the disk
// before it returns: what it writes is carried away on media. Who may read it is
// what the user's umask says.
func WriteFile(path string, content []byte) error { return Write(path, File{Content: content}) }

// about names the whole path, of which what is done below a root knows the end.
func about(path string, err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return &fs.PathError{Op: "write", Path: path, Err: e.Err}
	}
	return err
}

// WriteFrom is WriteFile for content that is read.
func WriteFrom(path string, content io.Reader) error { return Write(path, File{From: content}) }

// Write is WriteFile for a file of any kind.
func Write(path string, file File) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer root.Close()
	return about(path, write(root, filepath.Base(path), file))
}

// write does it below root, and follows no link out of it.
func write(root *os.Root, name string, file File) (err error) {
	dir, base := filepath.Split(name)
	sweep(root, dir, base)
	temp := filepath.Join(dir, "."+base+"."+rand.Text())
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, file.mode())
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, root.Remove(temp))
		}
	}()
	if file.From != nil {
		_, err = io.Copy(f, file.From)
	} else {
		_, err = f.Write(file.Content)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = root.Rename(temp, name); err != nil {
		return err
	}
	syncDir(root, dir)
	return nil
}

// sweep takes away what a killed call left of a file of the same name. A call that
// is still writing it fails then, and leaves the file to this one.
func sweep(root *os.Root, dir, base string) {
	d, err := root.Open(filepath.Join(".", dir))
	if err != nil {
		return
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1) // what cannot be listed stays
	for _, n := range names {
		if text, ours := strings.CutPrefix(n, "."+base+"."); ours && random.MatchString(text) {
			_ = root.Remove(filepath.Join(dir, n))
		}
	}
}

// random is what rand.Text returns.
var random = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// syncDir makes a rename durable. Not every file system can do that, and
// then there is nothing more to be done.
func syncDir(root *os.Root, dir string) {
	if d, err := root.Open(filepath.Join(".", dir)); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
