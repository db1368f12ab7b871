package hostile

// A Bomb is a bundle that is whole and well signed, with a chart that asks for more
// than there is when it is rendered.
type Bomb struct {
	Name    string
	Message string // part of what the program has to say
	Greedy  bool   // it takes all that a render may have, however much that is
	Make    func() Content
}

// Bombs are all of them. Those that only take time are not among them.
func Bombs() []Bomb {
	const template = "app/templates/bomb.yaml"
	var all []Bomb
	for _, b := range []struct {
		name, message, text string
		greedy              bool
	}{
		{"terabytes", "more than 2048 MiB of memory, and were given up in " + template, `{{ repeat 4000000000000 "x" }}`, false},
		{"a thousand million numbers", "MiB of memory, and were given up in " + template, `{{ range until 1000000000 }}x{{ end }}`, true},
		{"a map in itself", "of memory in recursion, and were given up in " + template, `{{ $d := dict }}{{ $_ := set $d "a" $d }}{{ merge $d $d | toJson }}`, true},
		{"template in itself", "exceeded maximum template depth", `{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`, false},
		{"expression", "MiB of memory, and were given up in " + template, `{{ regexReplaceAll "(a{1000})" (repeat 1000000 "a") (repeat 1000000 "$1") }}`, true},
		{"aliases", "too large or nests too deep", aliases(12), true},
	} {
		all = append(all, Bomb{b.name, b.message, b.greedy, with(file{name: template, data: []byte(b.text)})})
	}
	return all
}
