// Wine makes a folder in which wine of Debian 12 runs programs made with Go: they want
// bcryptprimitives.dll, which that wine lacks. The one written here has no code: its
// only name, ProcessPrng, is a forwarder to SystemFunction036, which takes and gives the
// same (RtlGenRandom). The format is that of "PE Format" at learn.microsoft.com.
//
//	wine FOLDER
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	if err := prepare(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "wine:", err)
		os.Exit(1)
	}
}

func prepare(prefix string) error {
	system := filepath.Join(prefix, "drive_c", "windows", "system32")
	if _, err := os.Stat(system); err != nil {
		boot := exec.Command("wine", "wineboot", "--init")
		boot.Env = append(os.Environ(), "WINEPREFIX="+prefix, "WINEDEBUG=-all")
		if out, err := boot.CombinedOutput(); err != nil {
			return fmt.Errorf("wineboot: %w\n%s", err, out)
		}
	}
	return os.WriteFile(filepath.Join(system, "bcryptprimitives.dll"), library("bcryptprimitives.dll", "ProcessPrng", "ADVAPI32.SystemFunction036"), 0o644)
}

const (
	fileAlign = 0x200
	pageAlign = 0x1000
	base      = pageAlign // where the only section is in memory
)

// library is a DLL of 64 bits with one export that another library answers.
func library(name, export, forwarder string) []byte {
	section := exports(name, export, forwarder)
	var b bytes.Buffer
	put := func(fields ...any) {
		for _, f := range fields {
			_ = binary.Write(&b, binary.LittleEndian, f) // a buffer takes all
		}
	}
	put([]byte("MZ"), make([]byte, 58), uint32(64)) // where the header is
	put([]byte("PE\x00\x00"), uint16(0x8664), uint16(1), uint32(0), uint32(0), uint32(0), uint16(240), uint16(0x2022))
	put(uint16(0x20b), uint16(0), uint32(0), uint32(fileAlign), uint32(0), uint32(0), uint32(0))
	put(uint64(0x180000000), uint32(pageAlign), uint32(fileAlign), [6]uint16{6, 0, 0, 0, 6, 0}, uint32(0))
	put(uint32(2*pageAlign), uint32(fileAlign), uint32(0), uint16(3), uint16(0x160))
	put(uint64(1<<20), uint64(pageAlign), uint64(1<<20), uint64(pageAlign), uint32(0), uint32(16))
	put(uint32(base), uint32(len(section)), make([]byte, 15*8)) // the directory of exports alone
	put([]byte(".rdata\x00\x00"), uint32(len(section)), uint32(base), uint32(fileAlign), uint32(fileAlign))
	put(uint32(0), uint32(0), uint32(0), uint32(0x40000040))
	b.Write(make([]byte, fileAlign-b.Len()))
	b.Write(section)
	b.Write(make([]byte, 2*fileAlign-b.Len()))
	return b.Bytes()
}

// exports is the directory with its three tables of one element, and the texts.
func exports(name, export, forwarder string) []byte {
	const functions, names, ordinals, texts = 40, 44, 48, 50
	at := uint32(base + texts)
	exportAt := at + uint32(len(name)) + 1
	forwarderAt := exportAt + uint32(len(export)) + 1
	var b bytes.Buffer
	for _, f := range []any{
		uint32(0), uint32(0), uint32(0), at, uint32(1), uint32(1), uint32(1), // ordinals begin at 1; one function, one name
		uint32(base + functions), uint32(base + names), uint32(base + ordinals),
		forwarderAt, exportAt, uint16(0),
		[]byte(name + "\x00" + export + "\x00" + forwarder + "\x00"),
	} {
		_ = binary.Write(&b, binary.LittleEndian, f)
	}
	return b.Bytes()
}
