package main

import (
	"testing"
	"time"
)

func TestDaysFlag(t *testing.T) {
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"36h": 36 * time.Hour, "90d": 90 * day, "12w": 84 * day, "100w": 700 * day,
		"": 0, "d": 0, "0d": 0, "-1d": 0, "1.5d": 0, "90": 0, "90m": 0, "1y": 0, "99999999999d": 0, "5300w": 0, "1 d": 0,
	} {
		var f daysFlag
		if err := f.Set(s); (err == nil) != (want > 0) || time.Duration(f) != want {
			t.Errorf("%q is %s, error %v; want %s", s, time.Duration(f), err, want)
		}
		if want == 0 {
			continue
		}
		var again daysFlag
		if err := again.Set(f.String()); err != nil || again != f {
			t.Errorf("%q is written %q, which is %s (%v)", s, f.String(), time.Duration(again), err)
		}
	}
}
