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
//   - [Output.Findings] lists the references, each with a [Position];
//     [Output.Like] gives another render the same positions, however many
//     documents and elements of lists the other values add, and [Output.Lookup]
//     reads what stands at one there; [Output.Leaves] lists every scalar, and
//     [Output.Differences] what two renders do not have in common.
//   - [Output.Remarks] lists what programs download while they run, and resources
//     whose operators may bring images.
//
// Rendering touches neither a cluster, nor the network, nor the file system:
// lookup returns nothing, names are not resolved, and the environment is not
// visible to templates.
//
// Templates can ask for any amount of memory, and nothing but the end of a process
// stops them. So a program that calls [Child] first in its main function renders in a
// child of itself (see package child), which loads the chart once, keeps what is parsed
// between renders, and sends what was rendered already parsed: neither text nor YAML
// that explodes does so here. A child that dies is a [LimitError] of the render that
// it died of. In a program without that call, as in one that uses this as a library,
// charts are rendered in the process itself, and a template that asks for terabytes
// ends it.
//
// # Positions
//
// A [Position] is a document, a path in it, and if need be a word of a scalar or
// the mark of a reference that is spread over several keys. People read it as
//
//	nats/templates/stateful-set.yaml#StatefulSet/nats:spec.template.spec.containers[nats].image
//	app/templates/config.yaml#ConfigMap/0:data["values.yaml"]|yaml.sidecar.image
//	app/templates/operator.yaml#Deployment/app:spec.template.spec.containers[op].args[3]~2
//
// Documents have the name of the object; where it is random, and where there is
// none, they are counted within their kind and template. Elements of lists have
// the name that the list gives them (of the container, the env entry, the volume,
// the port), and their index where there is none. What adds an element can so
// never pass for what changes one. Documents inside a string are entered through
// |yaml, |json or |base64 (|yaml/1 is the second document of a string).
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
