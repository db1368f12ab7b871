// Package serve answers the OCI distribution API, read-only, straight from
// bundles that are open.
//
// The contract:
//
//   - No byte leaves that the signature does not vouch for. A whole blob goes
//     through the reader that withholds the last bytes of wrong content, and the
//     connection is broken in their place. A part of a blob is sent after the whole
//     has been read once. What was read once and is right is compared block by block
//     with what was read then, by sums that nobody outside can aim for: that costs a
//     tenth of hashing it again.
//   - A blob that was found damaged is told once, and answered as unknown from then
//     on. A medium that cannot be read is an error of the server and may pass.
//   - Names are those of an import without prefix, and those of the source behind
//     its host, as a path or in the query ?ns= that containerd adds. Two contents
//     for one name are a [ConflictError] when the server is made. Charts that no
//     registry had are below charts/ only.
//   - The record is shown on the page and is no blob: it holds values of users.
//   - Memory does not grow with the size of blobs. A client that reads slowly
//     holds up nobody: it costs one buffer and one connection, of which there is a
//     limit, until it takes less than 64 KiB in two minutes.
//
// It stands on http.ServeContent and not on cuelabs.dev/go/oci/ociregistry/ociserver:
// that serves one range and knows neither ETags nor conditions, and it ends a
// response whose content turns out wrong as if it were whole, which is the one thing
// that must not happen here. Of the rest of it, uploads and deletions, nothing is
// wanted.
//
//	s, err := serve.New([]*open.Bundle{b}, serve.Options{})
//	if err != nil { … }
//	err = serve.Listen(ctx, s, serve.ListenOptions{Address: "127.0.0.1:5000"})
package serve
