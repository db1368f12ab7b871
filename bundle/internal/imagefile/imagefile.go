// Package imagefile reads images that lie in files: OCI layouts in a folder or a
// tar, and what docker save writes.
//
// The contract: nothing is unpacked; a blob is read from where it lies, and its
// digest is for the caller to check; everything small is bounded. What comes from
// an OCI layout keeps its bytes; an image that docker save wrote, which has no
// manifest, is given one that is the same each time.
//
//	a, err := imagefile.Open(ctx, imagefile.OCI, "folder", "")
//	for _, im := range a.Images { fmt.Println(im.Name) }
//	defer a.Close()
package imagefile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/layout"
)

// A Kind says how images lie in files.
type Kind string

// The kinds, by the names of skopeo's transports.
const (
	OCI        Kind = "oci"            // a folder that is an OCI layout
	OCIArchive Kind = "oci-archive"    // a tar of one
	Docker     Kind = "docker-archive" // what docker save writes
)

// Kinds are all of them.
var Kinds = []Kind{OCI, OCIArchive, Docker}

// An Archive is open until it is closed.
type Archive struct {
	Images []*Image
	close  func() error
}

// Close gives the files back. Blobs cannot be read any more.
func (a *Archive) Close() error { return a.close() }

// Same reports whether all images are one, under several names.
func (a *Archive) Same() bool {
	return !slices.ContainsFunc(a.Images, func(im *Image) bool { return im.root.Digest != a.Images[0].root.Digest })
}

// Open finds the image that is called name, or all images where name is empty.
func Open(ctx context.Context, kind Kind, path, name string) (*Archive, error) {
	a, err := open(ctx, kind, path)
	if ctx.Err() != nil && err != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		var usage *fault.UsageError
		if errors.As(err, &usage) {
			return nil, err
		}
		return nil, &fault.UsageError{What: fmt.Sprintf("%s:%s: %v", kind, path, err)}
	}
	if err := a.choose(name); err != nil {
		err = &fault.UsageError{What: fmt.Sprintf("%s:%s: %v", kind, path, err)}
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func open(ctx context.Context, kind Kind, path string) (*Archive, error) {
	if kind == OCI {
		root, err := os.OpenRoot(path)
		if err != nil {
			return nil, err
		}
		images, err := layoutImages(folder{root})
		if err != nil {
			return nil, errors.Join(err, root.Close())
		}
		return &Archive{images, root.Close}, nil
	}
	t, err := openTar(ctx, path)
	if err != nil {
		return nil, err
	}
	var images []*Image
	if kind == OCIArchive {
		images, err = layoutImages(t)
	} else {
		images, err = dockerImages(ctx, t)
	}
	if err != nil {
		return nil, errors.Join(err, t.file.Close())
	}
	return &Archive{images, t.file.Close}, nil
}

// choose leaves one image, or all.
func (a *Archive) choose(name string) error {
	if len(a.Images) == 0 {
		return errors.New("there is no image in it")
	}
	if name == "" {
		return nil
	}
	var there []string
	for _, im := range a.Images {
		if im.called(name) {
			a.Images = []*Image{im}
			return nil
		}
		there = append(there, im.Name)
	}
	return fmt.Errorf("there is no image %q in it; there is %q", name, there)
}

// files are an archive's, by name with slashes.
type files interface {
	// open returns a file and its size; fs.ErrNotExist where it is none.
	open(name string) (blob, error)
}

// A blob is a file in an archive.
type blob interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// An Image is one image in an archive. It is an image.Files.
type Image struct {
	Name string // as the archive calls it: in full, or a tag alone, or empty

	files    files
	root     ocispec.Descriptor
	manifest []byte                   // of the root
	names    map[digest.Digest]string // of blobs that have other names than those of a layout
	made     map[digest.Digest][]byte // blobs that are in no file
	aliases  []string                 // other names
}

func (im *Image) called(name string) bool {
	for _, n := range append(im.aliases, im.Name) {
		if n == name || full(n) != "" && full(n) == full(name) {
			return true
		}
	}
	return false
}

// Root returns the manifest or index and its descriptor.
func (im *Image) Root() (ocispec.Descriptor, []byte, error) { return im.root, im.manifest, nil }

// Has reports whether a blob is there, with the size of its descriptor.
func (im *Image) Has(d ocispec.Descriptor) bool {
	b, err := im.open(d)
	if err != nil {
		return false
	}
	defer b.Close()
	return b.Size() == d.Size
}

// Open reads a blob from an offset on; fs.ErrNotExist where it is not there.
func (im *Image) Open(d ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	b, err := im.open(d)
	if err != nil {
		return nil, err
	}
	if b.Size() != d.Size {
		return nil, errors.Join(fmt.Errorf("blob %s has %d bytes, its descriptor says %d", d.Digest, b.Size(), d.Size), b.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(b, offset, max(b.Size()-offset, 0)), b}, nil
}

func (im *Image) open(d ocispec.Descriptor) (blob, error) {
	if b, ok := im.made[d.Digest]; ok {
		return inMemory(b), nil
	}
	if name, ok := im.names[d.Digest]; ok {
		return im.files.open(name)
	}
	if err := d.Digest.Validate(); err != nil || d.Digest.Algorithm() != digest.SHA256 {
		return nil, fmt.Errorf("blob %q: %w", d.Digest, fs.ErrNotExist)
	}
	return im.files.open(layout.BlobName(d.Digest))
}

// readSmall reads a file whole.
func readSmall(fs files, name string, limit int64) ([]byte, error) {
	b, err := fs.open(name)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if b.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d allowed", name, b.Size(), limit)
	}
	data := make([]byte, b.Size())
	if _, err := b.ReadAt(data, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}
