package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// nobody is who runs the program in the image.
const nobody = 65532

// A layout is an image layout: content by names.
type layout struct{ files map[string][]byte }

// object is one of JSON.
type object = map[string]any

// image writes an image layout in a tar, of one image for each platform.
func (r *release) image(platforms []platform) error {
	l := layout{map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}}
	var manifests []object
	for _, p := range platforms {
		m, err := r.platformImage(&l, p)
		if err != nil {
			return err
		}
		manifests = append(manifests, m)
	}
	about := object{
		"org.opencontainers.image.title":    "bundle",
		"org.opencontainers.image.version":  r.version,
		"org.opencontainers.image.revision": r.commit,
		"org.opencontainers.image.created":  r.made.Format("2006-01-02T15:04:05Z"),
	}
	const indexType = "application/vnd.oci.image.index.v1+json"
	index, err := l.json(object{"schemaVersion": 2, "mediaType": indexType, "manifests": manifests, "annotations": about})
	if err != nil {
		return err
	}
	index["mediaType"] = indexType
	index["annotations"] = object{"org.opencontainers.image.ref.name": "bundle:" + tag(r.number())}
	top, err := json.Marshal(object{"schemaVersion": 2, "mediaType": indexType, "manifests": []object{index}})
	if err != nil {
		return err
	}
	l.files["index.json"] = top
	var names []string
	for name := range l.files {
		names = append(names, name)
	}
	slices.Sort(names)
	var out bytes.Buffer
	t := tar.NewWriter(&out)
	for _, name := range names {
		if err := r.entry(t, tar.Header{Name: name, Mode: 0o644}, l.files[name]); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return r.write("bundle_"+r.number()+"_image.tar", out.Bytes())
}

// tag is a version as tags of images may be.
func tag(version string) string { return strings.ReplaceAll(version, "+", "-") }

// platformImage adds the image of one platform, and returns its descriptor.
func (r *release) platformImage(l *layout, p platform) (object, error) {
	plain, err := r.layer(p)
	if err != nil {
		return nil, err
	}
	packed, err := gzipped(plain)
	if err != nil {
		return nil, err
	}
	created := r.made.Format("2006-01-02T15:04:05Z")
	config, err := l.json(object{
		"created": created, "os": p.os, "architecture": p.arch,
		"config": object{
			"User": fmt.Sprintf("%d:%d", nobody, nobody), "WorkingDir": "/work", "Entrypoint": []string{"/usr/bin/bundle"},
			"Env":    []string{"PATH=/usr/bin", "HOME=/work"},
			"Labels": object{"org.opencontainers.image.version": r.version, "org.opencontainers.image.revision": r.commit},
		},
		"rootfs":  object{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(plain))}},
		"history": []object{{"created": created, "created_by": "make release"}},
	})
	if err != nil {
		return nil, err
	}
	config["mediaType"] = "application/vnd.oci.image.config.v1+json"
	layer := l.blob(packed)
	layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip"
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	m, err := l.json(object{"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": []object{layer}})
	if err != nil {
		return nil, err
	}
	m["mediaType"], m["platform"] = manifestType, object{"os": p.os, "architecture": p.arch}
	return m, nil
}

// layer is all that there is in the image: the program, a user for it, folders to
// write into, and whom the public registries' certificates are signed by.
func (r *release) layer(p platform) ([]byte, error) {
	program, err := os.ReadFile(filepath.Join(r.stage, p.os+"-"+p.arch, p.exe()))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	t := tar.NewWriter(&out)
	user := fmt.Sprintf("nonroot:x:%d:%d::/work:/sbin/nologin\n", nobody, nobody)
	for _, e := range []struct {
		tar.Header
		data []byte
	}{
		{tar.Header{Name: "etc/", Mode: 0o755}, nil},
		{tar.Header{Name: "etc/group", Mode: 0o644}, fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", nobody)},
		{tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0::/:/sbin/nologin\n" + user)},
		{tar.Header{Name: "etc/ssl/", Mode: 0o755}, nil},
		{tar.Header{Name: "etc/ssl/certs/", Mode: 0o755}, nil},
		{tar.Header{Name: "etc/ssl/certs/ca-certificates.crt", Mode: 0o644}, authorities()},
		{tar.Header{Name: "tmp/", Mode: 0o1777}, nil},
		{tar.Header{Name: "usr/", Mode: 0o755}, nil},
		{tar.Header{Name: "usr/bin/", Mode: 0o755}, nil},
		{tar.Header{Name: "usr/bin/bundle", Mode: 0o755}, program},
		{tar.Header{Name: "work/", Mode: 0o755, Uid: nobody, Gid: nobody}, nil},
	} {
		if err := r.entry(t, e.Header, e.data); err != nil {
			return nil, err
		}
	}
	err = t.Close()
	return out.Bytes(), err
}

// entry writes one file or folder.
func (r *release) entry(t *tar.Writer, h tar.Header, data []byte) error {
	h.Typeflag, h.Size, h.ModTime, h.Format = tar.TypeReg, int64(len(data)), r.made, tar.FormatUSTAR
	if strings.HasSuffix(h.Name, "/") {
		h.Typeflag = tar.TypeDir
	}
	if err := t.WriteHeader(&h); err != nil {
		return err
	}
	_, err := t.Write(data)
	return err
}

// authorities are Mozilla's, at the version that go.mod has; those that are believed
// for some names or times only cannot be said so in such a file, and stay out.
func authorities() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // memory takes all
		}
	}
	return out.Bytes()
}

// blob adds content under its digest, and returns its descriptor.
func (l *layout) blob(data []byte) object {
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	l.files["blobs/sha256/"+sum] = data
	return object{"digest": "sha256:" + sum, "size": len(data)}
}

func (l *layout) json(v object) (object, error) {
	b, err := json.Marshal(v)
	return l.blob(b), err
}
