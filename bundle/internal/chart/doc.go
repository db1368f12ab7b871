// Package chart loads Helm charts, renders them and finds every container
// image reference in what they render. It is the only package of the module
// that imports Helm.
//
// The contract, in the order of use:
//
//   - [Load] reads a chart from a folder, an archive or an HTTP chart
//     repository and fetches the dependencies that Chart.yaml declares and
//     charts/ lacks, by a [Fetcher] of the caller's; [Chart.Fetched] lists them.
//     [Open] reads an archive from memory.
//   - A [Chart] is immutable. [Chart.Render] works on a private copy, so any
//     number of renders may run at once.
//   - [Output.Findings] lists the references, each with a position that stays
//     the same when the chart is rendered again with other values;
//     [Output.Lookup] reads what stands at such a position in another render;
//     [Output.Leaves] lists every scalar.
//
// Rendering touches neither a cluster, nor the network, nor the file system:
// lookup returns nothing, names are not resolved, and the environment is not
// visible to templates.
//
// # Positions
//
// A position is
//
//	template#Kind/ordinal.path[~token]
//
// for example
//
//	nats/templates/stateful-set.yaml#StatefulSet/0.spec.template.spec.containers[0].image
//	app/templates/config.yaml#ConfigMap/0.data["values.yaml"]|yaml.sidecar.image
//	app/templates/operator.yaml#Deployment/0.spec.template.spec.containers[0].args[3]~1
//
// The ordinal counts the documents of one kind within one template, because
// names of objects may be random. The path addresses a scalar: keys that are
// not plain words are quoted, entries of an env list are addressed by their
// names (env["X_IMAGE"].value), and documents inside a string are entered
// through |yaml, |json or |base64 (|yaml/1 is the second document of a
// string). The token, if any, is the number of a word within that scalar (see
// [Output.Lookup]) or "ref" for a reference that is spread over sibling keys;
// the path then leads to the repository part.
//
// # Example
//
//	c, err := chart.Load(ctx, chart.Source{Ref: "./mychart"}, chart.LoadOptions{})
//	if err != nil {
//		return err
//	}
//	out, err := c.Render(ctx, chart.RenderOptions{Strict: true})
//	if err != nil {
//		return err
//	}
//	for _, f := range out.Findings() {
//		fmt.Println(f.Raw, f.Position)
//	}
package chart
