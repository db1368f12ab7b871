package transfer

// A PartSize says how large parts may become.
type PartSize struct {
	Bytes  int64
	Medium bool // Bytes is what a medium holds, with all that lies beside the part
}

// Presets are the sizes of media, less what a file system takes.
var Presets = map[string]PartSize{
	"fat32": {Bytes: 4_294_967_295}, // the largest file of FAT32; ISO 9660 and DVDs take it too
	"cd":    {700_000_000, true},
	"bd25":  {24_000_000_000, true},
	"bd50":  {48_000_000_000, true},
	"bd100": {96_000_000_000, true},
}

// DefaultPreset is what parts are cut for where nobody says.
const DefaultPreset = "fat32"
