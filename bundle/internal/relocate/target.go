package relocate

import "strings"

// TargetName is the usual name of an image in a private registry: registry,
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
func TargetName(raw, registry string, keepHost bool) string {
	if strings.HasPrefix(raw, registry+"/") {
		return raw
	}
	host, rest := splitHost(raw)
	if !keepHost {
		return registry + "/" + rest
	}
	if host == "" {
		host = "docker.io"
	}
	return registry + "/" + strings.ToLower(strings.ReplaceAll(host, ":", "-")) + "/" + rest
}

// splitHost parts a reference from its registry host, which is empty when the
// reference does not name one. As everywhere, what stands before the first
// slash is a host when it has a dot or a port, or is localhost.
func splitHost(ref string) (host, rest string) {
	first, rest, found := strings.Cut(ref, "/")
	if !found || strings.Contains(first, "@") || first != "localhost" && !strings.ContainsAny(first, ".:") {
		return "", ref
	}
	return first, rest
}

// splitValue does the same for a value, which may be the beginning of a
// reference only: "quay.io" alone is a host there.
func splitValue(s string) (host, rest string) {
	if host, rest = splitHost(s); host != "" {
		return host, rest
	}
	name, port, hasPort := strings.Cut(s, ":")
	named := name == "localhost" || strings.Contains(name, ".")
	if named && !strings.ContainsAny(s, "/@") && (!hasPort || isPort(port)) {
		return s, ""
	}
	return "", s
}

// isPort tells ":5000" behind a host from ":1.2" behind an image name. A tag
// that is only digits behind a name with a dot is read as a port.
func isPort(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// splitSuffix parts a reference from its tag and digest: "a/b:1@sha256:x" is
// "a/b", ":1" and "@sha256:x".
func splitSuffix(ref string) (name, tag, digest string) {
	name = ref
	if i := strings.IndexByte(name, '@'); i >= 0 {
		name, digest = name[:i], name[i:]
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i:]
	}
	return name, tag, digest
}
