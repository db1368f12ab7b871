package relocate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each image of a component that is off, with what switches it on; nothing for
// a component that is on already.
func TestDisabled(t *testing.T) {
	tests := []struct {
		name, chart string
		values      map[string]any
		want        []string
	}{
		{"defaults", "switches", nil, []string{
			"agents[0].enabled: ghcr.io/acme/edge:1.0.3",
			"installAgent: ghcr.io/acme/agent:1.0.3",
			"proxy.enabled: ghcr.io/acme/proxy:1.0.3",
			"store.bundled: docker.io/acme/store:3",
			"proxy.enabled proxy.tls.enabled: ghcr.io/acme/tls:1.0.3",
			"store.bundled store.metrics.enabled: docker.io/acme/store-metrics:3",
		}},
		{"some of them on", "switches", map[string]any{
			"proxy": map[string]any{"enabled": true}, "store": map[string]any{"bundled": true}, "installAgent": true,
		}, []string{
			"agents[0].enabled: ghcr.io/acme/edge:1.0.3",
			"proxy.tls.enabled: ghcr.io/acme/tls:1.0.3",
			"store.metrics.enabled: docker.io/acme/store-metrics:3",
		}},
		{"nothing is off", "operator", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Disabled(t.Context(), golden{chart: tt.chart, values: tt.values}.request(t))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range d.Found {
				got = append(got, strings.Join(f.Switch, " ")+": "+f.Raw)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(d.Failed) != 0 || d.Untried != 0 {
				t.Errorf("failed %v, %d untried", d.Failed, d.Untried)
			}
		})
	}
}
