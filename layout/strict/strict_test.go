package strict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

var rules = Rules{Bytes: 1000, Depth: 4, Values: 20, Names: []string{"digest", "size"}, Free: "annotations"}

// keys is an object with so many keys, and further ones behind them.
func keys(n int, more ...string) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"k%d":0`, i))
	}
	return "{" + strings.Join(append(all, more...), ",") + "}"
}

func TestCheck(t *testing.T) {
	many := Rules{Bytes: 1000, Depth: 2, Values: 200}
	anyCase := Rules{Bytes: 1000, Depth: 4, Values: 20, AnyCase: true, Free: "values"}
	for _, c := range []struct {
		rules Rules
		doc   string
		want  string // part of the error; empty: none
	}{
		{rules, `{"digest":"a","size":1}`, ""},
		{rules, `[1,2,{"a":[[]]}]`, ""},
		{rules, ` "text" `, ""},
		{rules, `{"digest":"a","digest":"a"}`, `"digest" twice`},
		{rules, `{"dig\u0065st":"a","digest":"a"}`, `"digest" twice`},
		{rules, `{"":1,"":2}`, `"" twice`},
		{many, keys(30), ""},
		{many, keys(30, `"k0":0`), `"k0" twice`},
		{many, keys(30, `"k29":0`), `"k29" twice`},
		{many, keys(1, `"a":`+keys(30), `"b":`+keys(30, `"k29":0`)), `"k29" twice`},
		{many, keys(1, `"a":`+keys(30), `"b":`+keys(30)), ""}, // what is taken again is empty
		{rules, "{\"a\xff\":1,\"a\xfe\":2}", "twice"},         // both are read as U+FFFD
		{rules, `{"a":{"b":1},"b":2}`, ""},
		{rules, `[{"a":1},{"a":2}]`, ""},
		{rules, `{"other":1,"Other":2}`, ""},
		{rules, `{"Digest":"a"}`, `"Digest" in place of "digest"`},
		{rules, `{"ſize":1}`, `in place of "size"`}, // folds to s, also for encoding/json
		{rules, `{"annotations":{"Digest":"a","x":{"Size":1}}}`, ""},
		{rules, `{"annotations":{"a":1,"a":2}}`, `"a" twice`},
		{rules, `{"annotations":1,"Digest":2}`, `in place of "digest"`},
		{anyCase, `{"other":1,"Other":2}`, `"Other" twice`},
		{anyCase, `{"values":{"a":1,"A":2}}`, ""},
		{anyCase, `{"values":{"a":1,"a":2}}`, `"a" twice`},
		{anyCase, `{"":{"a":1,"A":2}}`, `"A" twice`}, // an empty key frees nothing
		{rules, `[[[[]]]]`, ""},
		{rules, `[[[[[]]]]]`, "deeper than 4"},
		{rules, `[` + strings.Repeat("1,", 30) + `1]`, "more than 20"},
		{rules, `"` + strings.Repeat("x", 1000) + `"`, "more than the 1000"},
		{rules, `{} {}`, "not JSON"},
		{rules, `{"a":1`, "not JSON"},
		{rules, `{"a" 1}`, "not JSON"},
		{rules, ``, "not JSON"},
	} {
		err := c.rules.Check([]byte(c.doc))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.doc, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", c.doc, err, c.want)
		}
	}
}

func TestDecodeClosed(t *testing.T) {
	var doc struct {
		Digest string `json:"digest"`
	}
	open, closed := rules, rules
	closed.Closed = true
	if err := open.Decode([]byte(`{"digest":"a","more":1}`), &doc); err != nil || doc.Digest != "a" {
		t.Errorf("%v, %v", doc, err)
	}
	if err := closed.Decode([]byte(`{"digest":"a","more":1}`), &doc); err == nil {
		t.Error("an unknown key was taken")
	}
	if err := closed.Decode([]byte(`{"digest":"b"}`), &doc); err != nil || doc.Digest != "b" {
		t.Errorf("%v, %v", doc, err)
	}
}

// What passes loses no key when it is decoded: each stands in its object once.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":{"A":[1,"x",null,{}]},"b":1e999}`, `{"annotations":{"a:\"":{"b":1}}}`, `[[[]]]`, `{"a":1,"a":2}`, `1 2`, `"\ud800"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if (Rules{Bytes: 1 << 16, Depth: 50, Values: 1000, AnyCase: true}).Check(doc) != nil {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(doc))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err != nil {
			t.Fatalf("passed, but is not JSON: %v", err)
		}
		if got, want := count(v), colons(doc); got != want {
			t.Fatalf("%d keys of %d were decoded: %s", got, want, doc)
		}
	})
}

// count counts the keys of all objects.
func count(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		n = len(v)
		for _, w := range v {
			n += count(w)
		}
	case []any:
		for _, w := range v {
			n += count(w)
		}
	}
	return n
}

// colons counts those that stand outside of texts: one behind each key.
func colons(doc []byte) (n int) {
	quoted := false
	for i := 0; i < len(doc); i++ {
		switch {
		case doc[i] == '"':
			quoted = !quoted
		case quoted && doc[i] == '\\':
			i++
		case !quoted && doc[i] == ':':
			n++
		}
	}
	return n
}
