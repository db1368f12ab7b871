package regtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/distribution/distribution/v3"
	repositorymiddleware "github.com/distribution/distribution/v3/registry/middleware/repository"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/opencontainers/go-digest"
)

// memory is the storage driver of registries without a folder, and the middleware that
// serves their blobs. Both are given the storage itself as a parameter, "storage".
const memory = "regtest"

func init() {
	factory.Register(memory, memoryFactory{})
	if err := repositorymiddleware.Register(memory, newMemoryRepository); err != nil {
		panic(err)
	}
}

func newMemory() storagedriver.StorageDriver { return memoryDriver{inmemory.New()} }

type memoryFactory struct{}

func (memoryFactory) Create(_ context.Context, parameters map[string]any) (storagedriver.StorageDriver, error) {
	return parameters["storage"].(storagedriver.StorageDriver), nil
}

// memoryRepository serves blobs as repositories do, but from the storage itself: a
// reader of theirs has a buffer of 4 MiB, which takes longer than the blobs of tests.
type memoryRepository struct {
	distribution.Repository
	storage storagedriver.StorageDriver
}

func newMemoryRepository(_ context.Context, r distribution.Repository, options map[string]any) (distribution.Repository, error) {
	return memoryRepository{r, options["storage"].(storagedriver.StorageDriver)}, nil
}

func (r memoryRepository) Blobs(ctx context.Context) distribution.BlobStore {
	return memoryBlobs{r.Repository.Blobs(ctx), r.storage}
}

type memoryBlobs struct {
	distribution.BlobStore
	storage storagedriver.StorageDriver
}

func (b memoryBlobs) ServeBlob(ctx context.Context, w http.ResponseWriter, r *http.Request, dgst digest.Digest) error {
	d, err := b.Stat(ctx, dgst)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", fmt.Sprintf("%q", d.Digest))
	w.Header().Set("Cache-Control", "max-age=31536000")
	w.Header().Set("Docker-Content-Digest", d.Digest.String())
	w.Header().Set("Content-Type", d.MediaType)
	path := fmt.Sprintf("/docker/registry/v2/blobs/%s/%.2s/%[2]s/data", d.Digest.Algorithm(), d.Digest.Encoded())
	content := &stored{open: func(at int64) (io.Reader, error) { return b.storage.Reader(ctx, path, at) }, size: d.Size}
	http.ServeContent(w, r, "", time.Time{}, content)
	return nil
}

// stored reads what lies in a storage, from where it is wanted.
type stored struct {
	open     func(at int64) (io.Reader, error)
	size, at int64
	from     io.Reader // nil: to be opened at at
}

func (s *stored) Read(p []byte) (n int, err error) {
	if s.from == nil {
		if s.from, err = s.open(s.at); err != nil {
			return 0, err
		}
	}
	return s.from.Read(p)
}

func (s *stored) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		s.at = offset
	case io.SeekEnd:
		s.at = s.size + offset
	default:
		return 0, errors.New("regtest: seeks from the start and the end alone")
	}
	s.from = nil
	return s.at, nil
}

// memoryDriver is the driver "inmemory" but for its writers: those copy all they
// hold at every write, which for a layer takes longer than the rest of a test.
type memoryDriver struct{ storagedriver.StorageDriver }

func (d memoryDriver) Writer(ctx context.Context, path string, more bool) (storagedriver.FileWriter, error) {
	w, err := d.StorageDriver.Writer(ctx, path, more)
	if err != nil {
		return nil, err
	}
	return &memoryWriter{FileWriter: w}, nil
}

// memoryWriter collects what is written. Like the writer behind it, it does not
// count that as size before it is closed or committed.
type memoryWriter struct {
	storagedriver.FileWriter
	content *bytes.Buffer // nil: nothing
}

// contents are buffers of writers that have ended.
var contents = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (w *memoryWriter) Write(p []byte) (int, error) {
	if w.content == nil {
		w.content = contents.Get().(*bytes.Buffer)
	}
	return w.content.Write(p)
}

func (w *memoryWriter) flush() error {
	if w.content == nil {
		return nil
	}
	_, err := w.FileWriter.Write(w.content.Bytes())
	w.drop()
	return err
}

func (w *memoryWriter) drop() {
	if w.content != nil {
		w.content.Reset()
		contents.Put(w.content)
		w.content = nil
	}
}

func (w *memoryWriter) Commit(ctx context.Context) error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.FileWriter.Commit(ctx)
}

func (w *memoryWriter) Cancel(ctx context.Context) error {
	w.drop()
	return w.FileWriter.Cancel(ctx)
}

func (w *memoryWriter) Close() error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.FileWriter.Close()
}
