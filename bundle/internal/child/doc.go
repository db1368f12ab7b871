// Package child has work done in a process of its own: another run of this program,
// with a limit on its memory, that may die of it and leaves nothing behind.
//
// The contract: a program whose main (or TestMain) calls [Main] before anything else
// can be its own child. There, [Client.Ask] sends a request and waits for the answer;
// one that takes too long, or too much, is an [*Error] that says which. What a request
// and an answer are is the business of the caller: texts in, texts out. A program
// without that call has no children, and [Available] says so.
//
// Children end when their standard input does, so none outlives the process that
// started it, however that ended. They are started with an empty environment, in a
// process group of their own, and their standard error is read and never shown.
// A client has one child at most, which remembers what it was set up with and serves
// several requests at once. One that nobody asks anything is handed to the next client,
// or ended after a few seconds.
//
// What the limit on memory is depends on the system. On Linux the kernel refuses
// memory beyond it (RLIMIT_DATA). Elsewhere there is none that holds for Go programs:
// there, the collector works harder from three quarters of it on, and the caller's own
// watch must do.
//
//	func main() {
//		if code, ok := child.Main(serve); ok {
//			os.Exit(code)
//		}
//		…
//	}
package child
