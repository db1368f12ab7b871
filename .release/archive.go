package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
)

// archive packs files into one, below a folder of its own: .zip for Windows, else
// .tar.gz.
func (r *release) archive(p platform, files []file) error {
	name := strings.Join([]string{"bundle", r.number(), p.os, p.arch}, "_")
	files = slices.Clone(files)
	for i := range files {
		files[i].path = path.Join(name, files[i].path)
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	var out bytes.Buffer
	if p.os == "windows" {
		if err := r.zip(&out, files); err != nil {
			return err
		}
		return r.write(name+".zip", out.Bytes())
	}
	if err := r.tarGz(&out, files); err != nil {
		return err
	}
	return r.write(name+".tar.gz", out.Bytes())
}

func (r *release) tarGz(w io.Writer, files []file) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, f := range files {
		err := t.WriteHeader(&tar.Header{Name: f.path, Mode: int64(f.mode), Size: int64(len(f.data)), ModTime: r.made, Format: tar.FormatUSTAR})
		if err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func (r *release) zip(w io.Writer, files []file) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.path, Method: zip.Deflate, Modified: r.made}
		h.SetMode(f.mode)
		e, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := e.Write(f.data); err != nil {
			return err
		}
	}
	return z.Close()
}

func gzipped(data []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	err = z.Close()
	return out.Bytes(), err
}
