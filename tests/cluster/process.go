package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is one of this machine's: its start tells it from a later one of the
// same number.
type process struct {
	pid   int
	start string
}

// running is the process of that number.
func running(pid int) (process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	// The name, in brackets, may hold blanks; of what follows it the start is the 20th.
	_, after, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
	words := strings.Fields(after)
	if len(words) < 20 || words[0] == "Z" {
		return process{}, fmt.Errorf("process %d has ended", pid)
	}
	return process{pid: pid, start: words[19]}, nil
}

// alive says whether it is still that process.
func (p process) alive() bool {
	now, err := running(p.pid)
	return err == nil && now == p
}

// recorded is the process that a file names, if it is alive.
func (c cluster) recorded(name string) (process, bool) {
	text, err := os.ReadFile(c.path("run", name+".pid"))
	if err != nil {
		return process{}, false
	}
	pid, start, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	number, err := strconv.Atoi(pid)
	if err != nil {
		return process{}, false
	}
	p := process{pid: number, start: start}
	return p, p.alive()
}

// record writes down which process is called name.
func (c cluster) record(name string, pid int) error {
	p, err := running(pid)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%d %s\n", p.pid, p.start)
	return os.WriteFile(c.path("run", name+".pid"), []byte(text), 0o644)
}

// end kills it and waits until it is gone, with all it held.
func (p process) end() error {
	if !p.alive() {
		return nil
	}
	if err := unix.Kill(p.pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
		return err
	}
	return await(30*time.Second, fmt.Sprintf("the end of process %d", p.pid), func() error {
		if p.alive() {
			return fmt.Errorf("it is still there")
		}
		return nil
	})
}

// detach is this program with other words, in a session of its own.
func (c cluster) detach(words ...string) *exec.Cmd {
	command := exec.Command(itself(), append([]string{"--state", c.folder}, words...)...)
	command.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	return command
}

// itself is the path of this program.
func itself() string {
	path, err := os.Executable()
	if err != nil {
		return "/proc/self/exe"
	}
	// Built anew while the cluster is up: what starts from now on is the new one.
	return strings.TrimSuffix(path, " (deleted)")
}

// await tries again and again until the attempt succeeds, for a limited time.
func await(limit time.Duration, what string, attempt func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := attempt()
		if err == nil {
			return nil
		}
		if final, ok := err.(finalError); ok {
			return final.error
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("gave up waiting for %s after %v: %w", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// finalError is one that no further attempt can mend.
type finalError struct{ error }
