package medium

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Options say what a medium is like.
type Options struct {
	Path  string  // where it is mounted, a folder
	Store string  // the folder that has its files
	Speed float64 // bytes a second, of reading and of writing; 0: no limit
}

// An Op is what is done to a file.
type Op int

// What can fail.
const (
	Open Op = iota
	Create
	Read
	Write
	Sync
)

// A Call is one thing that is done to a file.
type Call struct {
	Op     Op
	Name   string // of the file, without its folder
	Offset int64
	Size   int64
}

// A Medium is mounted.
type Medium struct {
	server *fuse.Server
	fail   atomic.Pointer[func(Call) syscall.Errno]

	readLine, writeLine line
}

// Mount mounts a medium.
func Mount(o Options) (*Medium, error) {
	m := new(Medium)
	m.readLine.speed, m.writeLine.speed = o.Speed, o.Speed
	var st syscall.Stat_t
	if err := syscall.Stat(o.Store, &st); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Store, err)
	}
	root := &node{m: m}
	root.RootData = &fs.LoopbackRoot{Path: o.Store, Dev: uint64(st.Dev), RootNode: root} //nolint:unconvert // 32 bits elsewhere
	second := time.Second
	server, err := fs.Mount(o.Path, root, &fs.Options{
		AttrTimeout: &second, EntryTimeout: &second,
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "medium", DisableXAttrs: true, MaxWrite: 128 << 10, ExplicitDataCacheControl: true},
	})
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", o.Path, err)
	}
	m.server = server
	return m, nil
}

// Close unmounts it.
func (m *Medium) Close() error { return m.server.Unmount() }

// Fail has f decide what fails from now on, and with what; 0 is success.
func (m *Medium) Fail(f func(Call) syscall.Errno) { m.fail.Store(&f) }

// Pull takes the medium out: nothing on it can be reached any longer.
func (m *Medium) Pull() { m.Fail(func(Call) syscall.Errno { return syscall.EIO }) }

func (m *Medium) asks(op Op, name string, offset, size int64) syscall.Errno {
	if f := m.fail.Load(); f != nil {
		return (*f)(Call{op, name, offset, size})
	}
	return 0
}

// A line takes as many bytes a second as its speed says.
type line struct {
	speed float64
	mu    sync.Mutex
	free  time.Time
}

func (l *line) pass(n int) {
	if l.speed == 0 {
		return
	}
	l.mu.Lock()
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(n) / l.speed * float64(time.Second)))
	wait := l.free.Sub(now)
	l.mu.Unlock()
	time.Sleep(wait)
}

// A node is a file or folder.
type node struct {
	fs.LoopbackNode
	m *Medium
}

// WrapChild implements fs.NodeWrapChilder.
func (n *node) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	child := &node{m: n.m}
	child.RootData = n.RootData
	_ = ops // it would do what its parent says
	return child
}

func (n *node) name() string {
	name, _ := n.Parent()
	return name
}

// Open implements fs.NodeOpener.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.m.asks(Open, n.name(), 0, 0); errno != 0 {
		return nil, 0, errno
	}
	f, more, errno := n.LoopbackNode.Open(ctx, flags)
	return n.handle(f), more | fuse.FOPEN_KEEP_CACHE, errno // as a disk's is kept
}

// Create implements fs.NodeCreater.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.m.asks(Create, name, 0, 0); errno != 0 {
		return nil, nil, 0, errno
	}
	inode, f, more, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	child, _ := inode.Operations().(*node)
	return inode, child.handle(f), more | fuse.FOPEN_KEEP_CACHE, 0
}

func (n *node) handle(f fs.FileHandle) fs.FileHandle {
	if f == nil {
		return nil
	}
	return &handle{node: n, file: f.(loopback)}
}

// A loopback is an open file of the store.
type loopback interface {
	fs.FileReader
	fs.FileWriter
	fs.FileFsyncer
	fs.FileFlusher
	fs.FileReleaser
	fs.FileGetattrer
	fs.FileSetattrer
	fs.FileAllocater
}

// A handle is an open file of the medium.
type handle struct {
	node *node
	file loopback
}

// Read implements fs.FileReader.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if errno := h.node.m.asks(Read, h.node.name(), off, int64(len(dest))); errno != 0 {
		return nil, errno
	}
	h.node.m.readLine.pass(len(dest))
	return h.file.Read(ctx, dest, off)
}

// Write implements fs.FileWriter.
func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if errno := h.node.m.asks(Write, h.node.name(), off, int64(len(data))); errno != 0 {
		return 0, errno
	}
	h.node.m.writeLine.pass(len(data))
	return h.file.Write(ctx, data, off)
}

// Fsync implements fs.FileFsyncer.
func (h *handle) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	if errno := h.node.m.asks(Sync, h.node.name(), 0, 0); errno != 0 {
		return errno
	}
	return 0 // the store is not what is tested
}

// Flush implements fs.FileFlusher.
func (h *handle) Flush(ctx context.Context) syscall.Errno { return h.file.Flush(ctx) }

// Release implements fs.FileReleaser.
func (h *handle) Release(ctx context.Context) syscall.Errno { return h.file.Release(ctx) }

// Getattr implements fs.FileGetattrer.
func (h *handle) Getattr(ctx context.Context, out *fuse.AttrOut) syscall.Errno {
	return h.file.Getattr(ctx, out)
}

// Setattr implements fs.FileSetattrer.
func (h *handle) Setattr(ctx context.Context, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return h.file.Setattr(ctx, in, out)
}

// Allocate implements fs.FileAllocater.
func (h *handle) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	if errno := h.node.m.asks(Write, h.node.name(), int64(off), int64(size)); errno != 0 {
		return errno
	}
	return h.file.Allocate(ctx, off, size, mode)
}
