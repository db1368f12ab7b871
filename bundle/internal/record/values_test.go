package record

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func values() map[string]any {
	return map[string]any{
		"db":    map[string]any{"user": "op", "password": "secret", "a.b": "dotted"},
		"list":  []any{map[string]any{"token": "t", "name": "n"}, "second"},
		"plain": "x",
	}
}

// Left out is what a key names, and nothing beside it.
func TestLeaveOut(t *testing.T) {
	for _, c := range []struct {
		key  string
		want string // what remains, as JSON; empty: everything
	}{
		{"db.password", `{"db":{"a.b":"dotted","user":"op"},"list":[{"name":"n","token":"t"},"second"],"plain":"x"}`},
		{`db.a\.b`, `{"db":{"password":"secret","user":"op"},"list":[{"name":"n","token":"t"},"second"],"plain":"x"}`},
		{"list[0].token", `{"db":{"a.b":"dotted","password":"secret","user":"op"},"list":[{"name":"n"},"second"],"plain":"x"}`},
		{"list[1]", `{"db":{"a.b":"dotted","password":"secret","user":"op"},"list":[{"name":"n","token":"t"},null],"plain":"x"}`},
		{"list[0]", `{"db":{"a.b":"dotted","password":"secret","user":"op"},"list":[null,"second"],"plain":"x"}`},
		{"plain", `{"db":{"a.b":"dotted","password":"secret","user":"op"},"list":[{"name":"n","token":"t"},"second"]}`},
		{"db", `{"list":[{"name":"n","token":"t"},"second"],"plain":"x"}`},
		{"db.a.b", ""}, {"db.nothing", ""}, {"plain.below", ""}, {"list[2]", ""}, {"list[-1]", ""}, {"list[x]", ""}, {"", ""},
	} {
		r := Chart{Values: values()}
		r.LeaveOut(false, []string{c.key})
		got, err := json.Marshal(r.Values)
		if err != nil {
			t.Fatal(err)
		}
		if c.want == "" {
			if !reflect.DeepEqual(r.Values, values()) || len(r.LeftOut) != 0 {
				t.Errorf("%q: left out %v, remains %s", c.key, r.LeftOut, got)
			}
			continue
		}
		if string(got) != c.want || !slices.Equal(r.LeftOut, []string{c.key}) {
			t.Errorf("%q: left out %v, remains %s, want %s", c.key, r.LeftOut, got, c.want)
		}
	}
	all := Chart{Values: values(), Set: []string{"x=1"}}
	all.LeaveOut(true, nil)
	if all.Values != nil || all.Set != nil || !slices.Equal(all.LeftOut, []string{"*"}) {
		t.Errorf("all left out: %+v", all)
	}
	none := Chart{}
	none.LeaveOut(true, nil)
	if none.LeftOut != nil {
		t.Errorf("of nothing, %v is left out", none.LeftOut)
	}
}

// Integers that Helm would read otherwise from a file are kept as --set has them,
// with keys that --set takes apart as they were.
func TestExactIntegers(t *testing.T) {
	got := ExactIntegers(map[string]any{
		"small": int64(999_999), "large": int64(20_240_101), "exact": int64(1_000_000),
		"text": "20240101", "float": 20240101.0,
		"a.b":  map[string]any{"c=d": int64(20_240_101)},
		"list": []any{int64(1), int64(-20_240_101)},
	})
	want := []string{`a\.b.c\=d=20240101`, "exact=1000000", "large=20240101", "list[1]=-20240101"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestChartNames(t *testing.T) {
	for _, c := range []struct {
		name, version string
		ok            bool
	}{
		{"app", "1.0.0", true}, {"app-x.y", "1.0.0+build", true}, {"a", "v1", true},
		{"App", "1.0.0", false}, {"a/b", "1.0.0", false}, {"../a", "1.0.0", false}, {"", "1.0.0", false},
		{"app", "", false}, {"app", "1 0", false}, {"app", "1.0@x", false}, {"app:1", "2", false},
	} {
		if err := (Chart{Name: c.name, Version: c.version}).CheckName(); (err == nil) != c.ok {
			t.Errorf("%q %q: %v", c.name, c.version, err)
		}
	}
	for _, c := range []struct {
		release, namespace string
		ok                 bool
	}{
		{"app", "default", true}, {"a.b-c", "x", true},
		{strings.Repeat("a", 53), strings.Repeat("a", 63), true},
		{strings.Repeat("a", 54), "x", false}, {"x", strings.Repeat("a", 64), false},
		{"", "x", false}, {"x", "", false}, {"A", "x", false}, {"-a", "x", false}, {"a/../b", "x", false}, {"a", "x y", false},
	} {
		if err := CheckRelease(c.release, c.namespace); (err == nil) != c.ok {
			t.Errorf("%q in %q: %v", c.release, c.namespace, err)
		}
	}
}
