// Package layout writes and reads the bundle file: one uncompressed tar whose
// root is an OCI Image Layout 1.0. SPEC.md in this folder is the format.
//
// Everything about the file is known before its first byte: a [Plan] is a pure
// function of names, sizes and one time, and says where every entry lies. So a
// [Writer] can fill in many blobs at once at their offsets, and [Stream] can
// write the same bytes in order to a pipe. A [Reader] accepts exactly what a
// Plan can describe, byte for byte, and nothing else.
//
//	plan, err := layout.NewPlan(files, time.Now())
//	w, err := layout.Create("app.bundle", plan)    // app.bundle.partial
//	defer w.Close()                                // removes it, unless committed
//	a, err := w.Assemble(layer.Digest)             // many at once
//	for _, r := range a.Missing() { … a.WriteAt(p, offset) … }
//	err = a.Close()                                // size and sha256 are checked here
//	err = w.Commit()                               // fsync, rename, fsync
//
//	r, err := layout.NewReader(file, size)
//	rc, err := r.OpenBlob(layer.Digest)            // never yields the whole of a wrong blob
//
// The contract:
//   - Nothing but regular files with the names of SPEC.md, each once, in order.
//   - A name below blobs/sha256 is the SHA-256 of the content; the writer never
//     keeps, and the verifying readers never pass on, content that differs.
//   - A file has its name only when it is complete and on the disk, and one
//     that was there before is not touched earlier.
//   - A partial file is gone on with by a run with the same plan, at whatever
//     moment the run before ended; what it holds is hashed before it counts.
//   - Memory is independent of the size of the blobs.
//
// The package knows the file system and nothing else: no network, no
// signatures, no meaning of references.
package layout
