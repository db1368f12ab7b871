package chart

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
)

// Renders and what they give are sent from process to process in a form of their own:
// what JSON has no word for (integers, floats without a fraction, texts that are no
// UTF-8) arrives as it was. Numbers are varints, texts have their length in front.

// A wireWriter writes it.
type wireWriter struct{ b []byte }

func (w *wireWriter) number(n int)   { w.b = binary.AppendUvarint(w.b, uint64(n)) }
func (w *wireWriter) text(s string)  { w.number(len(s)); w.b = append(w.b, s...) }
func (w *wireWriter) byte(c byte)    { w.b = append(w.b, c) }
func (w *wireWriter) fixed(n uint64) { w.b = binary.BigEndian.AppendUint64(w.b, n) }

func (w *wireWriter) flag(f bool) {
	if f {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

func (w *wireWriter) texts(list []string) {
	w.number(len(list))
	for _, s := range list {
		w.text(s)
	}
}

var errWire = errors.New("a message between processes that is none")

// A wireReader reads it. What is wrong with it shows in err; from then on, everything
// is zero.
type wireReader struct {
	s   string
	err error
}

func (r *wireReader) fail() {
	if r.err == nil {
		r.s, r.err = "", errWire
	}
}

func (r *wireReader) number() int {
	var n uint64
	for i := 0; i < len(r.s) && i < binary.MaxVarintLen64; i++ {
		n |= uint64(r.s[i]&0x7f) << (7 * i)
		if r.s[i] < 0x80 {
			r.s = r.s[i+1:]
			if n > math.MaxInt {
				break
			}
			return int(n)
		}
	}
	r.fail()
	return 0
}

// count reads how many things follow, of so many bytes at least.
func (r *wireReader) count(size int) int {
	n := r.number()
	if n > len(r.s)/size {
		r.fail()
		return 0
	}
	return n
}

// take reads a number of bytes; they share memory with the message.
func (r *wireReader) take(n int) string {
	if n > len(r.s) {
		r.fail()
		return ""
	}
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

func (r *wireReader) text() string { return r.take(r.number()) }

func (r *wireReader) byte() byte {
	if s := r.take(1); s != "" {
		return s[0]
	}
	return 0
}

func (r *wireReader) fixed() uint64 {
	if s := r.take(8); s != "" {
		return binary.BigEndian.Uint64([]byte(s))
	}
	return 0
}

func (r *wireReader) flag() bool {
	c := r.byte()
	if c > 1 {
		r.fail()
	}
	return c == 1
}

func (r *wireReader) texts() []string {
	list := make([]string, r.count(1))
	for i := range list {
		list[i] = r.text()
	}
	return list
}

// end returns what went wrong; something left is wrong too.
func (r *wireReader) end() error {
	if r.s != "" {
		r.fail()
	}
	return r.err
}

// Tags of values.
const (
	wireNil byte = iota
	wireFalse
	wireTrue
	wireText
	wireInt
	wireInt64
	wireFloat
	wireList
	wireMap
)

// value writes a value of a chart: nil, booleans, texts, numbers, lists and maps.
// Kinds that YAML and command lines do not give become those.
func (w *wireWriter) value(v any) error {
	switch v := v.(type) {
	case nil:
		w.byte(wireNil)
	case bool:
		if v {
			w.byte(wireTrue)
		} else {
			w.byte(wireFalse)
		}
	case string:
		w.byte(wireText)
		w.text(v)
	case int:
		w.byte(wireInt)
		w.fixed(uint64(v))
	case int64:
		w.byte(wireInt64)
		w.fixed(uint64(v))
	case float64:
		w.byte(wireFloat)
		w.fixed(math.Float64bits(v))
	case []any:
		w.byte(wireList)
		w.number(len(v))
		for _, e := range v {
			if err := w.value(e); err != nil {
				return err
			}
		}
	case map[string]any:
		w.byte(wireMap)
		w.number(len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			w.text(k)
			if err := w.value(v[k]); err != nil {
				return err
			}
		}
	default:
		return w.other(reflect.ValueOf(v))
	}
	return nil
}

func (w *wireWriter) other(v reflect.Value) error {
	switch {
	case v.Kind() == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = v.Index(i).Interface()
		}
		return w.value(list)
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		m := make(map[string]any, v.Len())
		for k, e := range v.Seq2() {
			m[k.String()] = e.Interface()
		}
		return w.value(m)
	case v.Kind() == reflect.String:
		return w.value(v.String())
	case v.Kind() == reflect.Bool:
		return w.value(v.Bool())
	case v.CanInt():
		return w.value(v.Int())
	case v.CanUint():
		return w.value(int64(v.Uint()))
	case v.CanFloat():
		return w.value(v.Float())
	}
	return fmt.Errorf("a value is a %s", v.Type())
}

func (r *wireReader) value(depth int) any {
	if depth > maxWireDepth {
		r.fail()
	}
	switch r.byte() {
	case wireNil:
		return nil
	case wireFalse:
		return false
	case wireTrue:
		return true
	case wireText:
		return r.text()
	case wireInt:
		return int(r.fixed())
	case wireInt64:
		return int64(r.fixed())
	case wireFloat:
		return math.Float64frombits(r.fixed())
	case wireList:
		list := make([]any, r.count(1))
		for i := range list {
			list[i] = r.value(depth + 1)
		}
		return list
	case wireMap:
		n := r.count(2)
		m := make(map[string]any, n)
		for range n {
			k := r.text()
			m[k] = r.value(depth + 1)
		}
		return m
	}
	r.fail()
	return nil
}

// maxWireDepth limits how deep values nest: the readers of YAML and JSON end at ten
// thousand.
const maxWireDepth = 20_000
