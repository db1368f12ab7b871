// Package medium is a folder with the manners of a medium: as slow as one, read in
// places that cannot be read, full before it should be, pulled out while it is at
// work. It is a file system of its own, so that programs see what they would see of a
// real one.
//
//	m, err := medium.Mount(medium.Options{Path: "/tmp/stick", Store: "/tmp/stick.data", Speed: 20e6})
//	m.Fail(func(c medium.Call) syscall.Errno { … })
//	defer m.Close()
//
// Mounting needs the right to do so, and FUSE in the kernel.
package medium
