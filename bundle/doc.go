// Package bundle is the whole of what the bundle program does, as a library:
// [Export] writes Helm charts and every image they need into one signed file,
// [Verify] and [Inspect] read it, and [Import] pushes it into a registry and
// emits the values with which Helm pulls everything from there. [Status] and
// [Inventory] ask a registry what imports left there, and [Diff] and [DiffRegistry] say
// what the next one changes.
//
// The contract:
//
//   - Everything is planned before it is done. An export knows every reference,
//     digest, size and offset before the first layer moves; an import has
//     checked the signature, the structure, the names and the values before the
//     first byte is pushed.
//   - Each unique blob crosses the network once, is hashed while it moves, and
//     on export is written to disk once. Memory does not grow with the size of
//     images.
//   - What a registry's clients can see (manifests, tags, charts) changes only
//     after every blob that is sent has been verified.
//   - An export has its name only when it is complete and on the disk. One that
//     failed may leave a partial file: the same export goes on with it, to the
//     same bytes.
//   - The context ends everything soon, and nothing keeps running after a
//     function has returned.
//   - Helm prints warnings through the standard logger: while a chart is read or
//     rendered, what package log prints is discarded in the whole process.
//
// Errors sort into kinds, see [KindOf]; [Hint] says what to do about one.
//
//	signer, err := bundle.LoadSigner(ctx, "release-key", bundle.KeyOptions{})
//	report, err := bundle.Export(ctx, bundle.ExportOptions{
//		Charts: []bundle.ChartSpec{{Ref: "./chart"}},
//		Output: "app.bundle.tar",
//		Signer: signer,
//	})
//	…
//	trust, err := bundle.LoadTrust(ctx, []string{"release-key.pub"}, "")
//	report, err := bundle.Import(ctx, "app.bundle.tar", bundle.ImportOptions{
//		Registry:  bundle.Registry{Host: "registry.plant.local:5000", Prefix: "apps"},
//		Trust:     trust,
//		OutputDir: "out",
//	})
package bundle
