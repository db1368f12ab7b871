// Package parts makes one logical file of many: a bundle that was cut into parts
// for several media. SPEC-SET.md beside package layout is the format.
//
// Parts are raw slices of the bundle. Which of them belong together, and where
// each lies, says a small file on every medium, set.json ([Set]); the begin of
// the bundle, up to its first layer, lies on every medium too. So any one medium
// is enough to know what the others hold.
//
//	f, err := parts.Open(ctx, []string{"/media/stick", "app.bundle.tar.003"})
//	defer f.Close()
//	r, err := layout.NewReader(f, f.Size())   // f is an io.ReaderAt
//	f.Missing(entry.Offset, entry.Offset+entry.Size)
//
// The contract:
//   - Nothing on a medium is ever written, renamed or removed, and nothing but
//     regular files is opened.
//   - set.json is a hint: nobody signed it. What it says of bytes that are there
//     is compared with them by whoever verifies blobs; what it says of bytes that
//     are not there is never taken for content.
//   - A read of bytes that are on no medium given is a [*MissingError]; one that
//     a medium fails is the system's error with the part named.
//   - Memory is bounded by what set.json may hold, whatever it says.
package parts
