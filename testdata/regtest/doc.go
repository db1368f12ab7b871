// Package regtest starts real registries for tests and demonstrations, and
// fills them with deterministic images, charts and artifacts of any size.
//
// [Start] runs a distribution registry in this process, [StartReferrers] one
// that has the referrers API, and [StartProcess] the docker-registry program of
// the operating system. All three are a [Registry]: a host to talk to, a [Log]
// of the requests that arrived, and faults that can be injected while it runs.
//
//	reg := regtest.Running(t, regtest.Start, regtest.Options{TLS: true, Username: "u", Password: "p"})
//	desc, err := reg.PushImage(ctx, "library/nginx:1.27", regtest.Image{
//		Layers: []regtest.Layer{{Size: 1 << 20, Seed: 1}},
//	})
//	reg.Inject(regtest.Fault{Class: regtest.Blob, Times: 1, Do: regtest.Reset(1000)})
//
// Content that a test pushes or reads through the Registry's own methods neither
// shows up in the log nor meets any fault.
package regtest
