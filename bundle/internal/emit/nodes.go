package emit

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/record"
)

// mirrors is configuration for container runtimes: whatever a node pulls from
// one of the source registries comes from the target instead. They know prefixes
// only, and so nothing of flat names.
func (o Options) mirrors(rec *record.Record) map[string]disk.File {
	hosts := make(map[string]bool)
	if o.Names == place.Flat {
		return make(map[string]disk.File)
	}
	for _, im := range rec.Images {
		if ref, err := name.Parse(im.Reference); err == nil {
			hosts[ref.Host] = true
		}
	}
	plain := o.Access.Plain(o.Registry.Host)
	insecure := o.Access.Insecure(o.Registry.Host)
	files := make(map[string]disk.File)
	for host := range hosts {
		prefix := o.mirrorPrefix(host)
		toml, conf := hostsTOML(o.Registry.Host, prefix, plain, insecure), registriesConf(host, path.Join(o.Registry.Host, prefix), plain || insecure)
		files[path.Join("nodes/containerd/certs.d", host, "hosts.toml")] = disk.File{Content: toml}
		files["nodes/registries.conf.d/50-"+fileName(host)+".conf"] = disk.File{Content: conf}
	}
	return files
}

// mirrorPrefix is the path in the target below which a mirror of host finds what it
// is asked for.
func (o Options) mirrorPrefix(host string) string {
	if o.Names == place.Host {
		return path.Join(o.Registry.Prefix, strings.ReplaceAll(host, ":", "-"))
	}
	return o.Registry.Prefix
}

// hostsTOML is containerd's configuration for one source registry (containerd,
// docs/hosts.md); the folder's name says which.
func hostsTOML(host, prefix string, plain, insecure bool) []byte {
	scheme := "https"
	if plain {
		scheme = "http"
	}
	var b bytes.Buffer
	if prefix == "" {
		fmt.Fprintf(&b, "[host.%q]\n", scheme+"://"+host)
	} else {
		fmt.Fprintf(&b, "[host.%q]\n", scheme+"://"+host+"/v2/"+prefix)
	}
	b.WriteString("  capabilities = [\"pull\", \"resolve\"]\n")
	if prefix != "" {
		b.WriteString("  override_path = true\n")
	}
	if insecure {
		b.WriteString("  skip_verify = true\n")
	}
	return b.Bytes()
}

// registriesConf is the same for CRI-O and Podman
// (containers-registries.conf(5)).
func registriesConf(source, location string, insecure bool) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "[[registry]]\nprefix = %q\nlocation = %q\n\n[[registry.mirror]]\nlocation = %q\n", source, source, location)
	if insecure {
		b.WriteString("insecure = true\n")
	}
	return b.Bytes()
}
