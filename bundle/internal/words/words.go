// Package words has the words in which reports and receipts say what became of
// something in a registry, the same in text, in JSON and in receipts.
//
// The contract: one word for one thing, see [State]; a list in JSON is never null,
// see [Complete]; a command can be pasted into a shell, see [Command].
//
//	state := words.Pushed.In(dryRun) // "would push" in a dry run
package words

// SchemaVersion is the version of the JSON of all commands and receipts. It
// grows when a key changes its meaning or goes away, not when one is added.
const SchemaVersion = 1

// A State is what became of a name in a registry, or would.
type State string

// The states.
const (
	Present      State = "present"       // it was there, with this content
	Pushed       State = "pushed"        // it is new
	Replaced     State = "replaced"      // it was there with other content
	Refused      State = "refused"       // the registry did not take it
	Missing      State = "missing"       // it is not there
	Changed      State = "changed"       // it is there with other content
	Outside      State = "outside"       // it points to another registry
	Added        State = "added"         // of two bundles, the newer one alone has it
	Removed      State = "removed"       // of two bundles, the older one alone has it
	WouldPush    State = "would push"    // in a dry run: it is not there
	WouldReplace State = "would replace" // in a dry run: it is there with other content
)

// In is the state in a dry run, where nothing becomes of anything yet.
func (s State) In(dryRun bool) State {
	switch {
	case dryRun && s == Pushed:
		return WouldPush
	case dryRun && s == Replaced:
		return WouldReplace
	}
	return s
}
