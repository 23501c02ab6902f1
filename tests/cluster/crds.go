package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// installCRDs applies files of custom resource definitions, as far as they are
// not there, and waits until the API server serves them.
func (c cluster) installCRDs(files []string) error {
	if len(files) == 0 {
		return errors.New("say which: crds FILE...")
	}
	if err := c.isUp(); err != nil {
		return err
	}
	return c.locked(func() error {
		said, err := c.kubectlRun("", "get", "crd", "--output", "name")
		if err != nil {
			return err
		}
		there := strings.Fields(strings.ReplaceAll(said, "customresourcedefinition.apiextensions.k8s.io/", ""))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			isThere := func(name string) bool { return slices.Contains(there, name) }
			names := definitionNames(string(text))
			if len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool { return !isThere(name) }) {
				continue
			}
			// They are too large for the note that an apply by the client leaves.
			if _, err := c.kubectlRun("", "apply", "--server-side", "--force-conflicts", "--filename", file); err != nil {
				return err
			}
		}
		_, err = c.kubectlRun("", "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
		return err
	})
}

// definitionNames are the names of the definitions in a file of manifests.
func definitionNames(text string) []string {
	var names []string
	for manifest := range strings.SplitSeq(text, "\n---") {
		if !strings.Contains(manifest, "\nkind: CustomResourceDefinition\n") {
			continue
		}
		for line := range strings.Lines(manifest) {
			// That of the object, not one of a field: two blanks deep.
			if name, found := strings.CutPrefix(line, "  name: "); found {
				names = append(names, strings.TrimSpace(name))
				break
			}
		}
	}
	return names
}

// kubectlRun runs kubectl with a text on its standard input, and returns what
// it says.
func (c cluster) kubectlRun(input string, words ...string) (string, error) {
	command := exec.Command(itself(), append([]string{"kubectl"}, words...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.adminConfig())
	command.Stdin = strings.NewReader(input)
	said, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = errors.New(strings.TrimSpace(string(exit.Stderr)))
		}
		return "", fmt.Errorf("kubectl %s: %w", strings.Join(words, " "), err)
	}
	return string(said), nil
}
