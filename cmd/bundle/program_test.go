package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"runtime/debug"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdProgram writes what says in its notes that it is this program, built by Go for a
// platform, and has nothing else in it: what is packed, and hashed, need not be large.
func cmdProgram(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: program FILE PLATFORM")
	}
	own, ok := debug.ReadBuildInfo()
	system, arch, found := strings.Cut(args[1], "/")
	if !ok || !found {
		ts.Fatalf("no program for %s", args[1])
	}
	notes := debug.BuildInfo{Path: own.Path, Settings: []debug.BuildSetting{{Key: "GOARCH", Value: arch}, {Key: "GOOS", Value: system}}}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), goProgram(own.GoVersion, notes.String()), 0o755))
}

// goProgram is an ELF file of one segment, which holds notes as debug/buildinfo reads
// them: behind a head, each as long as the varint before it says, the second between
// marks of 16 bytes.
func goProgram(version, notes string) []byte {
	const address, head = 0x400000, 64 + 56 // of an ELF file with one segment
	mark := strings.Repeat("-", 16)
	data := append([]byte("\xff Go buildinf:\x08\x02"), make([]byte, 16)...)
	for _, s := range []string{version, mark + notes + mark} {
		data = append(binary.AppendUvarint(data, uint64(len(s))), s...)
	}
	var file bytes.Buffer
	for _, part := range []any{
		elf.Header64{
			Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
			Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
		},
		elf.Prog64{
			Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: head, Vaddr: address,
			Filesz: uint64(len(data)), Memsz: uint64(len(data)), Align: 16,
		},
		data,
	} {
		if err := binary.Write(&file, binary.LittleEndian, part); err != nil {
			panic(err) // a buffer takes all
		}
	}
	return file.Bytes()
}
