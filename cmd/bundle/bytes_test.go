package main

import "testing"

func TestBytesFlag(t *testing.T) {
	for s, want := range map[string]int64{
		"1": 1, "1000": 1000, "64k": 64e3, "64M": 64e6, "64MB": 64e6, "64Mi": 64 << 20, "64MiB": 64 << 20, "2G": 2e9, "1Ti": 1 << 40, "5B": 5,
		"": 0, "M": 0, "0": 0, "-1": 0, "1.5G": 0, "1X": 0, "1MM": 0, "1i": 0, "9999999999G": 0, "1 M": 0, "1kM": 0,
	} {
		var f bytesFlag
		err := f.Set(s)
		if (err == nil) != (want > 0) || int64(f) != want {
			t.Errorf("%q is %d bytes, error %v; want %d", s, f, err, want)
		}
	}
}
