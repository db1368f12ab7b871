package record

import (
	"bytes"
	"os"
	"testing"
)

func golden(t testing.TB) []byte {
	t.Helper()
	doc, err := os.ReadFile("../../../testdata/golden/v1.record.json")
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// The record of history is written today as it was then.
func TestRecordRoundTrip(t *testing.T) {
	doc := golden(t)
	r, err := Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, doc) {
		t.Errorf("encoded again:\n%s\nwant\n%s", again, doc)
	}
}

// What ParseRecord takes, Encode can write, and reading that gives the same
// record again.
func FuzzParseRecord(f *testing.F) {
	f.Add(golden(f))
	for _, s := range []string{
		`{"formatVersion":1}`,
		`{"formatVersion":2,"images":7}`,
		`{"formatVersion":1,"created":"2024-02-29T23:59:60Z"}`,
		`{"formatVersion":1,"created":"2024-01-01T00:00:00.5+14:00","charts":[{"values":{"a":1e300,"b":-0.0,"c":12345678901234567890,"d":[null,{}]}}]}`,
		`{"formatVersion":1,"images":[{"digest":"sha256:","size":-1,"platforms":[""],"found":[{"keys":null}]}]}`,
		`{"formatVersion":1} {}`, `[]`, `null`, ``, "{\"formatVersion\":1,\"tool\":\"\xff\u2028<\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		if r.FormatVersion != FormatVersion {
			t.Fatalf("format version %d was read", r.FormatVersion)
		}
		once, err := r.Encode()
		if err != nil {
			t.Fatalf("was read, but cannot be written: %v", err)
		}
		r2, err := Parse(once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, once)
		}
		twice, err := r2.Encode()
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("changes from one writing to the next (%v):\n%s\n%s", err, once, twice)
		}
	})
}
