// Package remote talks to container registries: it resolves references, pulls
// manifests and blobs, pushes blobs and manifests, and finds out beforehand
// whether it may push. It follows the OCI distribution specification 1.1 and
// copes with the older Docker registries behind it.
//
//	c, err := remote.New(remote.Options{Mirrors: map[string]string{"docker.io": "harbor.local/hub"}})
//	if err != nil { … }
//	defer c.Close()
//	desc, manifest, err := c.Resolve(ctx, "docker.io/library/nginx:1.27")
//	…
//	rc, err := c.Blob(ctx, "docker.io/library/nginx", layer)
//
// # Names
//
// Repositories and references are strings in the canonical form of
// github.com/distribution/reference: "host[:port]/path", "host[:port]/path:tag",
// "host[:port]/path@sha256:…", Docker Hub spelled "docker.io/library/nginx".
// Where a mirror is configured for the host, the wire carries the mirror's name,
// and errors show both. Hosts compare without case, and all names of Docker Hub
// are one: a mirror or a login for one of them serves the others.
//
// [Client.Get] fetches what is in no registry, the index and the archives of chart
// repositories, by the same rules.
//
// # Trust
//
// HTTPS always, except for the hosts listed in [Options.PlainHTTP]: no address,
// not even localhost, is contacted without TLS by itself. Credentials go to the
// host they belong to and never to the target of a redirect. They are those of
// Options, docker login, podman login and helm registry login, in this order;
// helpers have a limit in time and in what they may write. Certificates of clients
// and CAs come from Options and from the certs.d folders of Podman and Docker.
// What the author of a chart names stays away from this machine and its link,
// unless the user named it too ([Guard]). A redirect or an
// authentication realm that leaves HTTPS is refused, and so is an upload
// location on another host. Every manifest is checked against its digest, size
// and media type; the bytes of a blob are the caller's to hash.
//
// # Faults
//
// What can succeed is tried again: resets, timeouts, silence, 408, 429 (after
// the time the registry asks for) and 5xx, with growing jittered pauses and a
// bounded number of attempts. A broken download goes on with a Range request; a
// broken upload asks the registry how far it came and goes on there, or starts
// again. Where a registry refuses the end of an upload as if it had lost it, it is
// asked whether it has the blob, and sent it anew once; a manifest whose blobs its
// replicas have not seen yet is pushed again. All waiting ends at once when the
// context does, and [Options.Waiting] is told of what lasts.
//
// A failed operation returns an [*Error], which says what was being done to what
// at which host, of what [Kind] the failure is, and where possible what to do
// about it. Errors carry no credentials, tokens or query strings.
package remote
