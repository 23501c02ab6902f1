// Command kubernetes is a whole Kubernetes in one program, for tests and for
// trying things out. Every component is the real one, linked in as a library;
// the program starts itself once per component, and knows how to put a control
// plane, or nodes with namespaces of their own, together from them.
//
//	kubernetes --state DIR api [--port N] [--owner PID | --lease DURATION]
//	kubernetes --state DIR nodes [--owner PID | --lease DURATION] COUNT
//	kubernetes --state DIR down | status
//	kubernetes --state DIR start|stop|kill|pause|resume PART
//	kubernetes --state DIR exec control|NODE COMMAND...
//	kubernetes --state DIR import NODE|all ARCHIVE...
//	kubernetes --state DIR kubectl ARGUMENTS...
//	kubernetes --state DIR crds FILE...
//	kubernetes pack NAME FOLDER ARCHIVE
//
// People use it through `cargo xtask cluster`, tests through the crate in kit/.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	// Under the name of a component, by a link or as the first word, it is that component.
	if run, ok := components[filepath.Base(os.Args[0])]; ok {
		run()
		return
	}
	if len(os.Args) > 1 {
		if run, ok := components[os.Args[1]]; ok {
			os.Args = os.Args[1:]
			run()
			return
		}
	}
	if err := command(); err != nil {
		fmt.Fprintln(os.Stderr, "kubernetes:", err)
		os.Exit(1)
	}
}

// errUsage is the answer to a command line that says nothing known.
var errUsage = errors.New("no such command: see the comment at the top of tests/cluster/main.go")

// command runs what the command line asks for.
func command() error {
	state := flag.String("state", "", "folder of everything the cluster writes")
	flag.Parse()
	words := flag.Args()
	if len(words) == 0 {
		return errUsage
	}
	verb, rest := words[0], words[1:]
	if verb == "pack" {
		return pack(rest)
	}
	if *state == "" {
		return errors.New("say where the cluster's files are, with --state DIR")
	}
	folder, err := filepath.Abs(*state)
	if err != nil {
		return err
	}
	c := cluster{folder: folder}
	switch verb {
	case "api", "nodes":
		return c.up(verb, rest)
	case "down":
		return c.locked(c.down)
	case "status":
		return c.status()
	case "start", "stop", "kill", "pause", "resume":
		return c.steer(verb, rest)
	case "exec":
		return c.exec(rest)
	case "import":
		return c.importImages(rest)
	case "kubectl":
		return c.kubectl(rest)
	case "crds":
		return c.installCRDs(rest)
	// What the program starts itself as.
	case "control":
		return c.control(rest)
	case "boot":
		return c.boot(rest)
	case "node":
		return c.node(rest)
	}
	return errUsage
}
