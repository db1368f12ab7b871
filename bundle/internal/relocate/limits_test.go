package relocate

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/written"
)

// inline loads a chart of some files.
func inline(t *testing.T, files map[string]string) *chart.Chart {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{"Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n"}
	maps.Copy(all, files)
	for name, text := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := chart.Load(t.Context(), chart.Source{Ref: dir}, chart.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func toPlant(raw string) (string, bool) { return written.Target(raw, registry, false), true }

// All renders of one call together are limited too, and passing the limit is not
// taken for an interrupt.
func TestRendersAreLimited(t *testing.T) {
	old := maxTime
	defer func() { maxTime = old }()
	maxTime = time.Nanosecond
	r := Request{Chart: inline(t, map[string]string{"values.yaml": "image: ghcr.io/a/b:1\n", "templates/t.yaml": "image: {{ .Values.image }}"}), Target: toPlant}
	_, derived := Derive(t.Context(), r)
	_, verified := Verify(t.Context(), r, nil)
	_, disabled := Disabled(t.Context(), r)
	for name, err := range map[string]error{"Derive": derived, "Verify": verified, "Disabled": disabled} {
		var limit *chart.LimitError
		if !errors.As(err, &limit) || !strings.Contains(err.Error(), "in all renders") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What stands in a Secret changes with the registry beside a password; that it
// does is told, and no more.
func TestSecretsAreHidden(t *testing.T) {
	const values = "registry: ghcr.io\npassword: hunter2-password\n"
	const pod = "\n---\nkind: Pod\nspec: {containers: [{image: '{{ .Values.registry }}/a/b:1'}]}\n"
	const login = `{{ printf "{\"auths\":{\"%s\":{\"password\":\"%s\"}}}" .Values.registry .Values.password }}`
	const coded = `{{ printf "{\"auths\":{\"%s\":{\"password\":\"%s\"}}}" .Values.registry .Values.password | b64enc }}`
	for name, secret := range map[string]string{
		"data":       "kind: Secret\ndata: {x: " + coded + "}",
		"stringData": "kind: Secret\nstringData:\n  x: '" + login + "'",
		"list":       "kind: List\nitems: [{kind: Secret, data: {x: " + coded + "}}]",
		"plain list": "kind: List\nitems:\n- kind: Secret\n  stringData:\n    x: '" + login + "'",
	} {
		res, err := Derive(t.Context(), Request{Chart: inline(t, map[string]string{"values.yaml": values, "templates/t.yaml": secret + pod}), Target: toPlant})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Moved) != 1 || len(res.Changed) == 0 {
			t.Errorf("%s: moved %d, changed %+v", name, len(res.Moved), res.Changed)
		}
		text := ""
		for _, c := range res.Changed {
			text += fmt.Sprintln(c.Position, c.Before, c.After)
		}
		if strings.Contains(text, "hunter2") || !strings.Contains(text, hidden) {
			t.Errorf("%s: %s", name, text)
		}
	}
}
