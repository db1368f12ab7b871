package regtest

import (
	"bytes"
	"context"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
)

// memory is the storage driver of registries without a folder.
const memory = "regtest"

func init() { factory.Register(memory, memoryFactory{}) }

type memoryFactory struct{}

func (memoryFactory) Create(context.Context, map[string]any) (storagedriver.StorageDriver, error) {
	return memoryDriver{inmemory.New()}, nil
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
	content bytes.Buffer
}

func (w *memoryWriter) Write(p []byte) (int, error) { return w.content.Write(p) }

func (w *memoryWriter) flush() error {
	if w.content.Len() == 0 {
		return nil
	}
	_, err := w.FileWriter.Write(w.content.Bytes())
	w.content = bytes.Buffer{}
	return err
}

func (w *memoryWriter) Commit(ctx context.Context) error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.FileWriter.Commit(ctx)
}

func (w *memoryWriter) Cancel(ctx context.Context) error {
	w.content = bytes.Buffer{}
	return w.FileWriter.Cancel(ctx)
}

func (w *memoryWriter) Close() error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.FileWriter.Close()
}
