package chart

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A child renders what this process would: all charts of the tests, strictly and
// leniently, with other values in between.
func TestApartIsTheSame(t *testing.T) {
	dirs, err := filepath.Glob("../../../testdata/charts/*/Chart.yaml")
	if err != nil || len(dirs) < 5 {
		t.Fatalf("%d charts, %v", len(dirs), err)
	}
	paths := cmp.Comparer(func(a, b Path) bool { return a == b })
	for _, dir := range dirs {
		c, err := Load(t.Context(), Source{Ref: filepath.Dir(dir)}, LoadOptions{})
		if err != nil || c.library() {
			continue // it lacks dependencies
		}
		for _, o := range []RenderOptions{
			{StubKeys: true, Occasions: true}, {Strict: true, Occasions: true}, {StubKeys: true},
			{StubKeys: true, ReleaseName: "r", Namespace: "n", APIVersions: []string{"a.io/v1"}, Values: map[string]any{
				"none": nil, "yes": true, "int": 1, "int64": int64(2), "float": 2.0, "list": []any{"\xff", map[string]any{}}, "global": map[string]any{"image": "x"},
			}},
			{KubeVersion: "no version"},
		} {
			want, wantErr := c.within(t.Context(), o)
			got, gotErr := c.apart(t.Context(), o)
			if d := cmp.Diff(seenIn(want, wantErr), seenIn(got, gotErr), paths, cmp.AllowUnexported(Manifest{})); d != "" && c.Deterministic(o.Values) {
				t.Errorf("%s %+v: -within +apart\n%s", c.Name(), o, d)
			}
			if (wantErr == nil) != (gotErr == nil) {
				t.Errorf("%s %+v: within %v, apart %v", c.Name(), o, wantErr, gotErr)
			}
		}
	}
}

// seenIn is all that can be seen of a render.
func seenIn(o *Output, err error) map[string]any {
	if err != nil {
		var e *RenderError
		if !errors.As(err, &e) {
			return map[string]any{"error": err.Error()}
		}
		cause := e.Err != nil
		e.Err = nil
		return map[string]any{"error": *e, "cause": cause, "text": e.Error()}
	}
	var manifests []any
	for _, m := range o.Manifests {
		m.doc = nil
		manifests = append(manifests, m)
	}
	leaves := map[string]string{}
	for p, v := range o.Leaves() {
		leaves[p.String()] = v
	}
	return map[string]any{
		"manifests": manifests, "leaves": leaves, "findings": o.Findings(), "remarks": o.Remarks(), "notes": o.Notes,
		"unread": o.Unread, "not seen": o.NotSeen, "annotated": o.annotated, "texts": o.texts, "hashes": o.hashes(), "pods": o.Pods(),
	}
}

// What a template asks for too much of ends its child and is one clear error, here and,
// once for each way to end, in the next render; the chart renders again where values do
// not ask for it.
func TestApartDies(t *testing.T) {
	oldTime, oldMemory, oldStack := maxRenderTime, maxRenderMemory, maxRenderStack
	defer func() { maxRenderTime, maxRenderMemory, maxRenderStack = oldTime, oldMemory, oldStack }()
	maxRenderStack = 8 << 20
	defer func(old time.Duration) { maxRenderWork = old }(maxRenderWork)
	const ask = `{{ if .Values.bomb }}%{{ end }}`
	for _, tc := range []struct {
		name, template, what string
		time                 time.Duration
		memory               int64
	}{
		{"terabytes", `{{ repeat 4000000000000 "x" }}`, "more than 2048 MiB of memory", time.Minute, 1 << 40},
		{"grows", `{{ $s := "x" }}{{ range until 40 }}{{ $s = cat $s $s }}{{ end }}`, "more than 16 MiB of memory", time.Minute, 16 << 20},
		{"numbers", `{{ range until 1000000000 }}{{ end }}`, "MiB of memory", time.Minute, 16 << 20},
		{"loops", `{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}`, "", 200 * time.Millisecond, 1 << 40},
		{"works", `{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}`, "more than 100ms of the processor", time.Minute, 1 << 40},
		{"recursion", `{{ $d := dict }}{{ $_ := set $d "a" $d }}{{ merge $d $d | toJson }}`, "in recursion", time.Minute, 1 << 40},
		{"expression", `{{ regexReplaceAll "(a{1,9}){1,9}" (repeat 3000000 "a") (repeat 2000 "$1") }}`, "MiB of memory", time.Minute, 16 << 20},
		{"keys", `{{ range until 100000 }}{{ genPrivateKey "rsa" }}{{ end }}`, "", 200 * time.Millisecond, 1 << 40},
		{"tpl", `{{ $s := "x" }}{{ range until 30 }}{{ $s = printf "{{ tpl %q . }}{{ tpl %q . }}" $s $s }}{{ end }}{{ tpl $s . }}`, "MiB of memory", time.Minute, 16 << 20},
		{"yaml", `a: [{{ repeat 4000000 "1," }}]`, "MiB of memory", time.Minute, 16 << 20},
		{"words", `a: "{{ repeat 4000000 "/ :" }}"`, "MiB of memory", time.Minute, 16 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			maxRenderMemory, maxRenderWork = tc.memory, time.Minute
			if tc.name == "works" {
				maxRenderWork = 100 * time.Millisecond
			}
			c := open(t, files{"templates/x.yaml": strings.Replace(ask, "%", tc.template, 1), "templates/y.yaml": "image: ghcr.io/a/b:1"})
			times := 1
			if slices.Contains([]string{"terabytes", "grows", "loops", "works", "recursion"}, tc.name) {
				times = 2
			}
			for range times {
				maxRenderTime = time.Minute
				render(t, c, RenderOptions{}) // the child is there
				limit := explode(t, c, tc.time)
				what := tc.what
				if what == "" {
					what = "more than " + maxRenderTime.String()
				}
				if !strings.Contains(limit.What, what) || limit.Template != "app/templates/x.yaml" || limit.Chart != "app" {
					t.Errorf("error %+v, want: %s", limit, what)
				}
			}
			maxRenderTime = time.Minute
			if out := render(t, c, RenderOptions{}); len(out.Findings()) != 1 {
				t.Errorf("afterwards: %v", out.Findings())
			}
		})
	}
}

// explode renders what asks for too much, within a time. The time is made longer where it
// did not do for the template to begin.
func explode(t *testing.T, c *Chart, within time.Duration) *LimitError {
	t.Helper()
	for maxRenderTime = within; ; maxRenderTime *= 4 {
		_, err := c.Render(t.Context(), RenderOptions{Values: map[string]any{"bomb": true}})
		var limit *LimitError
		if !errors.As(err, &limit) {
			t.Fatalf("error is %v", err)
		}
		if limit.Template != "" || maxRenderTime >= time.Minute {
			return limit
		}
	}
}

// What is small and harmless may look like those.
func TestApartRenders(t *testing.T) {
	for name, template := range map[string]string{
		"expression": `{{ regexMatch "((a{1000}){1000}){1000}" "aaa" }}`,
		"width":      `{{ printf "%1000000000d" 1 | quote }}`,
		"megabytes":  `a: {{ repeat 2000000 "x" }}`, // searched by the child
		"text":       "{{ \"\xff\" | b64enc }}",
	} {
		_, err := open(t, files{"templates/x.yaml": template}).Render(t.Context(), RenderOptions{Strict: true})
		if err != nil {
			var re *RenderError
			if !errors.As(err, &re) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A render that never returns does not hold its caller.
func TestApartIsCancelled(t *testing.T) {
	c := open(t, files{"templates/t.yaml": `{{ range until 1000000 }}{{ range until 1000000 }}{{ end }}{{ end }}`})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := c.Render(ctx, RenderOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// No answer that is damaged makes the parent fall over, or take memory that the
// answer does not account for.
func FuzzAnswer(f *testing.F) {
	b, err := os.ReadFile("../../../testdata/charts/operator/templates/gateway/deployment.yaml")
	if err != nil {
		f.Fatal(err)
	}
	c := open(f, files{"m.yaml": string(b), "templates/t.yaml": `{{ .Files.Get "m.yaml" }}`, "templates/u.yaml": "kind: Secret\ndata: {x: eyJhIjoiZ2hjci5pby9hL2I6MSJ9}\n"})
	out, err := c.within(f.Context(), RenderOptions{})
	f.Add((&sender{}).answer(out, err))
	f.Add((&sender{}).answer(nil, &RenderError{Message: "m", Err: errDocumentLimit}))
	f.Add((&sender{}).answer(nil, &LimitError{What: "w"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := newReceiver()(string(b))
		if r := a.(*rendered); err == nil && r.out != nil {
			r.out.Findings()
			r.out.Leaves()
		}
	})
}

// What is sent comes in as it was.
func FuzzRequest(f *testing.F) {
	b, err := encodeRequest(RenderOptions{Values: map[string]any{"a": []any{1, int64(2), 3.5, nil, true, "x"}}, APIVersions: []string{"v1"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decodeRequest(string(b))
		if err != nil {
			return
		}
		again, err := encodeRequest(o)
		if err != nil {
			t.Fatal(err)
		}
		o2, err := decodeRequest(string(again))
		if err != nil {
			t.Fatal(err)
		}
		third, err := encodeRequest(o2)
		if err != nil || string(third) != string(again) {
			t.Errorf("%q became %q, %v", again, third, err)
		}
	})
}
