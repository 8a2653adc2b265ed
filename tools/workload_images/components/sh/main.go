// A shell for init containers. Busybox's own runs its applets before it looks at PATH, so nobody could give it another `nc`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

var version = "unknown"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-version" {
		fmt.Println("sh", version)
		return
	}
	ending, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := run(ending, os.Args[1:])
	var status interp.ExitStatus
	if errors.As(err, &status) {
		os.Exit(int(status))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sh:", err)
		os.Exit(1)
	}
}

// run takes `-c SCRIPT [NAME [ARGUMENT...]]`, `FILE [ARGUMENT...]`, or a script on the standard input, line by line.
func run(ctx context.Context, arguments []string) error {
	parser := syntax.NewParser()
	parameters := []string{"--"}
	var script *syntax.File
	var err error
	switch {
	case len(arguments) > 1 && strings.HasPrefix(arguments[0], "-") && strings.HasSuffix(arguments[0], "c"):
		if len(arguments) > 3 {
			parameters = append(parameters, arguments[3:]...)
		}
		script, err = parser.Parse(strings.NewReader(arguments[1]), "")
	case len(arguments) > 0 && !strings.HasPrefix(arguments[0], "-"):
		content, opening := os.ReadFile(arguments[0])
		if opening != nil {
			return opening
		}
		parameters = append(parameters, arguments[1:]...)
		script, err = parser.Parse(strings.NewReader(string(content)), arguments[0])
	}
	if err != nil {
		return err
	}
	runner, err := interp.New(interp.StdIO(os.Stdin, os.Stdout, os.Stderr), interp.Params(parameters...))
	if err != nil {
		return err
	}
	if script != nil {
		return runner.Run(ctx, script)
	}
	for statement, err := range parser.StmtsSeq(os.Stdin) {
		if err != nil {
			return err
		}
		if err := runner.Run(ctx, statement); err != nil && runner.Exited() {
			return err
		}
	}
	return nil
}
