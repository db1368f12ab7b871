package emit

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"bundle/bundle/internal/name"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/record"
)

// mirrors is configuration for container runtimes: whatever a node pulls from
// one of the source registries comes from the target instead. They know prefixes
// only, and so nothing of flat names.
func (o Options) mirrors(rec *record.Record) map[string][]byte {
	hosts := make(map[string]bool)
	if o.Names == place.Flat {
		return make(map[string][]byte)
	}
	for _, im := range rec.Images {
		if ref, err := name.Parse(im.Reference); err == nil {
			hosts[ref.Host] = true
		}
	}
	plain := slices.Contains(o.Access.PlainHTTP, o.Registry.Host)
	insecure := slices.Contains(o.Access.InsecureSkipTLS, o.Registry.Host)
	files := make(map[string][]byte)
	for host := range hosts {
		prefix := o.Registry.Prefix
		if o.Names == place.Host {
			prefix = path.Join(prefix, strings.ReplaceAll(host, ":", "-"))
		}
		files[path.Join("nodes/containerd/certs.d", host, "hosts.toml")] = hostsTOML(o.Registry.Host, prefix, plain, insecure)
		files["nodes/registries.conf.d/50-"+fileName(host)+".conf"] = registriesConf(host, path.Join(o.Registry.Host, prefix), plain || insecure)
	}
	return files
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
