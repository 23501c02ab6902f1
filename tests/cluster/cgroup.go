package main

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is a cgroup file system of this machine.
type hierarchy struct {
	// place is where it is mounted.
	place string
	// kind is "cgroup" or "cgroup2".
	kind string
	// options mount it once more.
	options string
}

// hierarchies are those of the mount table.
func hierarchies() ([]hierarchy, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseHierarchies(string(text)), nil
}

// parseHierarchies reads a mount table: "36 35 0:29 / /sys/fs/cgroup/cpu
// rw,relatime - cgroup cgroup rw,cpu".
func parseHierarchies(mountinfo string) []hierarchy {
	var found []hierarchy
	for line := range strings.Lines(mountinfo) {
		before, after, whole := strings.Cut(line, " - ")
		mount, system := strings.Fields(before), strings.Fields(after)
		if !whole || len(mount) < 5 || len(system) < 3 {
			continue
		}
		h := hierarchy{place: mount[4], kind: system[0]}
		switch h.kind {
		case "cgroup2":
		case "cgroup":
			h.options = hierarchyOptions(system[2])
		default:
			continue
		}
		found = append(found, h)
	}
	return found
}

// hierarchyOptions are the options that say which v1 hierarchy it is.
func hierarchyOptions(super string) string {
	var kept []string
	for option := range strings.SplitSeq(super, ",") {
		switch {
		case strings.HasPrefix(option, "name="):
			kept = append(kept, "none", option)
		case slices.Contains([]string{"rw", "ro", "xattr", "clone_children"}, option):
		case strings.HasPrefix(option, "release_agent="):
		default:
			kept = append(kept, option)
		}
	}
	return strings.Join(kept, ",")
}

// cgroup is the name of a node's cgroup in every hierarchy; without a node, what
// the names of all nodes' cgroups start with. Clusters of one name in different
// folders have different ones.
func (c cluster) cgroup(node string) string {
	return fmt.Sprintf("culvert-cluster-%s-%08x-%s", c.name(), crc32.ChecksumIEEE([]byte(c.folder)), node)
}

// joinCgroup moves this process into a cgroup of that name in every hierarchy.
func joinCgroup(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		folder := filepath.Join(h.place, name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		// A v1 cpuset starts empty, and takes no process before it has a processor.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			text, err := os.ReadFile(filepath.Join(h.place, file))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(folder, file), text, 0)
			}
			if err != nil {
				return err
			}
		}
		self := []byte(strconv.Itoa(os.Getpid()))
		if err := os.WriteFile(filepath.Join(folder, "cgroup.procs"), self, 0); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroups removes cgroups whose names start so, and ends what is in them.
func (c cluster) removeCgroups(prefix string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		found, err := filepath.Glob(filepath.Join(h.place, prefix+"*"))
		if err != nil {
			return err
		}
		for _, folder := range found {
			err := await(20*time.Second, "the end of "+folder, func() error { return removeCgroup(folder) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func removeCgroup(folder string) error {
	var folders []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var last error
	for _, path := range slices.Backward(folders) {
		text, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		for pid := range strings.FieldsSeq(string(text)) {
			if number, err := strconv.Atoi(pid); err == nil && number > 0 {
				unix.Kill(number, unix.SIGKILL)
			}
		}
		if err := unix.Rmdir(path); err != nil && err != unix.ENOENT {
			last = fmt.Errorf("%s: %w", path, err)
		}
	}
	return last
}
