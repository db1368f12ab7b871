package written

import (
	"cmp"
	"strings"
)

// Target is the usual name of an image in a private registry: registry,
// which is HOST[:PORT][/PREFIX], then the path, tag and digest exactly as the
// chart writes them, without the host they came from. With keepHost that host
// stays as the first part of the path, so that two registries with one path do
// not collide; a reference without a host is then one of docker.io. A port in
// it is set off by a dash and letters are small, since paths have no colons and
// no others. What is below registry
// already stays where it is.
//
//	docker.io/nats:1       reg:5000/apps  →  reg:5000/apps/nats:1
//	ghcr.io/a/b@sha256:…   reg, keepHost  →  reg/ghcr.io/a/b@sha256:…
func Target(raw, registry string, keepHost bool) string {
	if strings.HasPrefix(raw, registry+"/") {
		return raw
	}
	r := Cut(raw)
	if !keepHost {
		return registry + "/" + r.Short()
	}
	host := strings.ToLower(strings.ReplaceAll(cmp.Or(r.Host, "docker.io"), ":", "-"))
	return registry + "/" + host + "/" + r.Short()
}
