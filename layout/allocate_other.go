//go:build !linux

package layout

import "os"

// allocate gives an empty file its size. The blocks are not reserved: a disk
// that fills up meanwhile is met while writing.
func allocate(file *os.File, size int64) error { return file.Truncate(size) }

// largest cannot be asked here: the file is given its size at once.
func largest(_ *os.File, _ int64) error { return nil }

// forgetRead has nothing to do where nextData asks nobody.
func forgetRead(_ *os.File) {}

// nextData cannot tell data from holes here: everything may be data.
func nextData(_ *os.File, at, end int64) (from, to int64) { return at, end }
