// Package bundle is the whole of what the bundle program does, as a library:
// [Export] writes Helm charts and every image they need into one signed file,
// [Verify] and [Inspect] read it, and [Import] pushes it into a registry and
// emits the values with which Helm pulls everything from there. [Status] and
// [Inventory] ask a registry what imports left there, and [Diff] and [DiffRegistry]
// say what the next one changes. What they return is in package reports.
//
// The contract:
//
//   - Everything is planned before it is done: references, digests, sizes and
//     names before the first layer moves, signature and values before a push.
//   - Each unique blob crosses the network once, is hashed while it moves, and
//     is written once. Memory does not grow with the size of images.
//   - Manifests, tags and charts in a registry change only after every blob
//     that is sent has been verified.
//   - An export has its name only when it is complete and on the disk. One that
//     failed may leave a partial file, with which the same export goes on.
//   - The context ends everything soon, and nothing keeps running after a return.
//
// Errors sort into kinds, see [KindOf]; [Hint] says what to do about one.
//
//	signer, err := bundle.LoadSigner(ctx, "release-key", bundle.KeyOptions{})
//	o := bundle.ExportOptions{Images: []string{"nginx:1"}, Output: "app.tar", Signer: signer}
//	report, err := bundle.Export(ctx, o) // and the way back: see the example
package bundle
