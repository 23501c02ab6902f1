package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// inside is a command in the namespaces of the control plane or of a node.
func (c cluster) inside(name string, words ...string) (*exec.Cmd, error) {
	p, alive := c.recorded(name)
	if !alive {
		if name != "control" && nodeNumber(name) == 0 {
			return nil, fmt.Errorf("no node %s: there are control and %s to %s", name, nodeName(1), nodeName(maxNodes))
		}
		return nil, fmt.Errorf("%s is not up", name)
	}
	enter := []string{"--target", strconv.Itoa(p.pid), "--all", "--wd=.", "--"}
	command := exec.Command("nsenter", append(enter, words...)...)
	command.Env = append(os.Environ(), "PATH="+nodePath, "CONTAINERD_NAMESPACE=k8s.io")
	if name == "control" {
		command.Env = append(os.Environ(), "KUBECONFIG="+c.adminConfig())
	}
	return command, nil
}

// exec becomes a command in the namespaces of the control plane or of a node.
func (c cluster) exec(words []string) error {
	if len(words) < 2 {
		return errors.New("say where, and what: exec control|NODE COMMAND...")
	}
	command, err := c.inside(words[0], words[1:]...)
	if err != nil {
		return err
	}
	if command.Err != nil {
		return command.Err
	}
	return unix.Exec(command.Path, command.Args, command.Env)
}

// importImages gives image archives to a node, or to all that run.
func (c cluster) importImages(words []string) error {
	if len(words) < 2 {
		return errors.New("say where, and what: import NODE|all ARCHIVE...")
	}
	var nodes []string
	for number := 1; number <= maxNodes; number++ {
		name := nodeName(number)
		if _, alive := c.recorded(name); alive && (words[0] == "all" || words[0] == name) {
			nodes = append(nodes, name)
		}
	}
	if len(nodes) == 0 {
		return fmt.Errorf("no node to import into: %s is not up", words[0])
	}
	for _, node := range nodes {
		for _, archive := range words[1:] {
			if err := c.importInto(node, archive); err != nil {
				return err
			}
		}
	}
	return nil
}

// importInto hands an archive over on standard input: the node need not see its path.
func (c cluster) importInto(node, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	command, err := c.inside(node, "ctr", "--namespace", "k8s.io", "images", "import", "-")
	if err != nil {
		return err
	}
	command.Stdin = file
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: importing %s: %w: %s", node, archive, err, strings.TrimSpace(string(said)))
	}
	return nil
}

// kubectl becomes kubectl, as the administrator.
func (c cluster) kubectl(words []string) error {
	if err := c.isUp(); err != nil {
		return err
	}
	environment := append(os.Environ(), "KUBECONFIG="+c.adminConfig())
	return unix.Exec(itself(), append([]string{"kubectl"}, words...), environment)
}

// steer starts, stops, kills, pauses or resumes a part: "etcd" of the control
// plane, "node-1/kubelet" of a node, or "node-1" as a whole.
func (c cluster) steer(do string, words []string) error {
	if len(words) != 1 {
		return fmt.Errorf("say what to %s: PART, NODE or NODE/PART", do)
	}
	owner, part, ofNode := strings.Cut(words[0], "/")
	if number := nodeNumber(owner); number != 0 && !ofNode {
		return c.locked(func() error { return c.steerNode(do, number) })
	}
	if !ofNode {
		owner, part = "control", words[0]
	}
	answer, err := c.ask(owner, request{Do: "status"})
	if err != nil {
		return err
	}
	var known []string
	for _, p := range answer.Parts {
		known = append(known, p.Name)
	}
	if !slices.Contains(known, part) {
		return fmt.Errorf("%s has no part %s: there are %s", owner, part, strings.Join(known, ", "))
	}
	if _, err := c.ask(owner, request{do, part}); err != nil {
		return err
	}
	if part != apiserverPart || do != "start" {
		return nil
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	return await(2*time.Minute, "the API server", func() error {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(context.Background()).Error()
	})
}

// steerNode cuts a node's power, or boots it with the disk it had.
func (c cluster) steerNode(do string, number int) error {
	name := nodeName(number)
	switch do {
	case "start":
		client, err := c.client()
		if err != nil {
			return err
		}
		return c.startNode(client, number)
	case "stop", "kill":
		p, alive := c.recorded(name)
		if !alive {
			return nil
		}
		if err := p.end(); err != nil {
			return err
		}
		return c.removeCgroups(c.cgroup(name))
	}
	return fmt.Errorf("cannot %s a whole node: name a part, as in %s/kubelet", do, name)
}

// isUp is an error unless the cluster was started, and not killed since.
func (c cluster) isUp() error {
	if _, err := c.settings(); err != nil {
		return err
	}
	if _, alive := c.recorded("control"); !alive {
		return fmt.Errorf("cluster %s was killed: `down` removes what it left, and so does the next `up`", c.name())
	}
	return nil
}

// status shows what runs, and where things are.
func (c cluster) status() error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	if err := c.isUp(); err != nil {
		return err
	}
	fmt.Printf("cluster     %s (%s)\n", c.name(), s.Kind)
	fmt.Printf("server      https://%s\n", loopback(s.Port))
	fmt.Printf("kubeconfig  %s\n", c.adminConfig())
	fmt.Printf("logs        %s\n", c.path("log"))
	if err := c.showParts("control"); err != nil {
		return err
	}
	for number := 1; number <= maxNodes; number++ {
		name := nodeName(number)
		if p, alive := c.recorded(name); alive {
			fmt.Printf("\n%-11s process %d, pods %s, cgroup %s\n", name, p.pid, podCIDR(number), c.cgroup(name))
			if err := c.showParts(name); err != nil {
				return err
			}
		} else if isFolder(c.path(name)) {
			fmt.Printf("\n%-11s off: `start %s` boots it\n", name, name)
		}
	}
	return nil
}

func (c cluster) showParts(supervisor string) error {
	answer, err := c.ask(supervisor, request{Do: "status"})
	if err != nil {
		return err
	}
	for _, part := range answer.Parts {
		switch {
		case part.PID != 0:
			fmt.Printf("  %-24s up for %v\n", part.Name, time.Since(part.Since).Round(time.Second))
		case part.Ended != "":
			fmt.Printf("  %-24s ended: %s (%s)\n", part.Name, part.Ended, filepath.Base(part.Log))
		default:
			fmt.Printf("  %-24s not started\n", part.Name)
		}
	}
	return nil
}
