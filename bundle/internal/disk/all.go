package disk

// WriteAll writes files below dir.
func WriteAll(dir string, contents map[string][]byte) error {
	files := make(map[string]File)
	for name, b := range contents {
		files[name] = File{Content: b}
	}
	_, err := Replace(dir, files)
	return err
}
