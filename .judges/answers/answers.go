// Package answers makes of a program one that is asked many times: to start a helm takes
// ten times as long as to render a small chart. A question is a line of JSON on the
// standard input, the answer a line of JSON on the standard output. The program ends with
// its input.
package answers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// A Question is the arguments of a command, and what the environment has beside that of
// the process.
type Question struct {
	Args []string
	Env  map[string]string
}

// An Answer is what a command wrote to its standard output, and how it failed.
type Answer struct{ Out, Err string }

// Serve answers by a command, one question after the other.
func Serve(command func(args []string, out io.Writer) error) {
	answers := os.Stdout
	os.Stdout = os.Stderr // what writes there all the same is no answer
	if err := serve(command, answers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(command func(args []string, out io.Writer) error, answers io.Writer) error {
	in, enc := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(answers)
	for {
		var q Question
		if err := in.Decode(&q); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		var out bytes.Buffer
		var a Answer
		if err := q.answer(command, &out); err != nil {
			a.Err = err.Error()
		}
		a.Out = out.String()
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
}

func (q Question) answer(command func(args []string, out io.Writer) error, out io.Writer) error {
	for name, value := range q.Env {
		before, had := os.LookupEnv(name)
		if err := os.Setenv(name, value); err != nil {
			return err
		}
		defer func() {
			if os.Unsetenv(name); had {
				os.Setenv(name, before)
			}
		}()
	}
	return command(q.Args, out)
}
