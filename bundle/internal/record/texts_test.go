package record

import (
	"reflect"
	"strings"
	"testing"
)

// texts visits every text of a record but those of values, which have a check of
// their own. Each is filled in with a name of its own, and all have to come by.
func TestTextsVisitsEveryField(t *testing.T) {
	var r Record
	want := map[string]bool{}
	fill(reflect.ValueOf(&r).Elem(), "r", want)
	r.texts(func(s *string) { delete(want, *s) })
	for name := range want {
		t.Errorf("%s is not visited", name)
	}
}

// fill sets every string below v to its path.
func fill(v reflect.Value, path string, names map[string]bool) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(path)
		names[path] = true
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), path+string(rune('0'+i)), names)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), path, names)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && !strings.HasSuffix(path, "Created") {
				fill(v.Field(i), path+"."+f.Name, names)
			}
		}
	}
}
