// Package disk writes files that are carried away on media: each appears under
// its name whole or not at all, and is on the disk when the call returns.
//
// The contract: links that stand in a folder already and lead out of it are not
// followed, and whether there is room is found out before work begins.
//
//	err := disk.WriteAll(dir, map[string][]byte{"app/values.yaml": values})
package disk

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"bundle/bundle/internal/fault"
)

func Create(path string, b []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return &fault.UsageError{What: path + " exists already", Advice: "choose another name: a key that signed bundles must not be lost"}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// WriteFile puts content under path, whole or not at all, and on the disk
// before it returns: what it writes is carried away on media.
func WriteFile(path string, content []byte) error {
	return WriteFrom(path, bytes.NewReader(content))
}

// WriteFrom is WriteFile for content that is read.
func WriteFrom(path string, content io.Reader) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	syncDir(dir)
	return nil
}

// syncDir makes a rename durable. Not every file system can do that, and
// then there is nothing more to be done.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
