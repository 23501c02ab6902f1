package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const nodePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// node is the first process of a node's namespaces: its end is the node's.
func (c cluster) node(args []string) error {
	number, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	name := nodeName(number)
	steps := []struct {
		what string
		do   func() error
	}{
		{"mounts", func() error { return c.mountNode(name) }},
		{"cgroups", mountCgroups},
		{"kernel settings", pretendSettings},
		{"host name", func() error { return unix.Sethostname([]byte(name)) }},
		{"loopback", func() error { return linkUp("lo") }},
		{"forwarding", func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }},
		{"files", func() error { return c.writeNodeFiles(number) }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	supervisor := supervisor{parts: c.nodeParts(number)}
	return supervisor.run(c.path("run", name+".sock"), nil)
}

func (c cluster) nodeParts(number int) []part {
	name := nodeName(number)
	parts := []part{
		{name: "containerd", argv: []string{"containerd"}, log: c.path("log", name, "containerd.log")},
		c.component("kubelet", name,
			"--config=/etc/kubernetes/kubelet.yaml",
			"--kubeconfig="+c.path("pki", name+".kubeconfig"),
			"--hostname-override="+name,
			"--node-ip="+nodeIP(number)),
		c.component("kube-proxy", name, "--config=/etc/kubernetes/kube-proxy.yaml"),
	}
	for i := range parts {
		parts[i].dir, parts[i].env = "/", os.Environ()
	}
	return parts
}

// mountNode gives the node an /etc, /opt, /run and /var of its own, so that
// every path is the usual one and two nodes can be on one machine.
func (c cluster) mountNode(name string) error {
	disk := func(folder string) string { return c.path(name, folder) }
	for _, folder := range []string{"etc", "etc-work", "links/sbin", "opt/cni/bin", "opt/kubernetes", "var/lib/kubelet", "var/log", "var/tmp"} {
		if err := os.MkdirAll(disk(folder), 0o755); err != nil {
			return err
		}
	}
	program := disk("opt/kubernetes/kubernetes")
	if err := os.WriteFile(program, nil, 0o755); err != nil && !errors.Is(err, unix.ETXTBSY) {
		return err
	}
	usr := "lowerdir=/usr"
	if root := filepath.Join(unpackedRoot(), "usr"); isFolder(root) {
		usr += ":" + root
	}
	// Unpacked, the package's choice of a backend has not been made.
	if findProgram("iptables") == "" && findProgram("xtables-nft-multi") != "" {
		for _, link := range []string{"iptables", "ip6tables"} {
			err := os.Symlink("/usr/sbin/xtables-nft-multi", disk("links/sbin/"+link))
			if err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		usr += ":" + disk("links")
	}
	etc := fmt.Sprintf("lowerdir=/etc,upperdir=%s,workdir=%s", disk("etc"), disk("etc-work"))
	err := mountAll([]mount{
		// Nothing gets out to the machine; inside, pods may share what they mount.
		{"none", "/", "", unix.MS_REC | unix.MS_PRIVATE, ""},
		{"none", "/", "", unix.MS_REC | unix.MS_SHARED, ""},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{itself(), program, "", unix.MS_BIND, ""},
		{"etc", "/etc", "overlay", 0, etc},
		{disk("opt"), "/opt", "", unix.MS_BIND | unix.MS_REC, ""},
		{disk("var"), "/var", "", unix.MS_BIND, ""},
		{"run", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	})
	if err == nil && strings.Contains(usr, ":") {
		err = mountAll([]mount{{"usr", "/usr", "overlay", unix.MS_RDONLY, usr}})
	}
	if err != nil {
		return err
	}
	if err := os.Symlink("/run", "/var/run"); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	plugins, err := filepath.Glob("/usr/lib/cni/*")
	if err != nil {
		return err
	}
	for _, plugin := range plugins {
		link := filepath.Join("/opt/cni/bin", filepath.Base(plugin))
		if err := os.Symlink(plugin, link); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// mountCgroups mounts the machine's hierarchies, which end at the node's cgroup.
func mountCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if err := unix.Unmount("/sys", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting /sys: %w", err)
	}
	err = mountAll([]mount{
		{"sys", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"bpf", "/sys/fs/bpf", "bpf", 0, ""},
		{"cgroup", "/sys/fs/cgroup", "tmpfs", 0, "mode=755"},
	})
	if err != nil {
		return err
	}
	for _, h := range all {
		if err := os.MkdirAll(h.place, 0o755); err != nil {
			return err
		}
		if err := mountAll([]mount{{"cgroup", h.place, h.kind, 0, h.options}}); err != nil {
			return err
		}
	}
	return nil
}

// pretendSettings hides settings that the kubelet insists on and that are the
// whole machine's: it finds files with the values it wants.
func pretendSettings() error {
	for setting, value := range map[string]string{
		"vm/overcommit_memory": "1",
		"kernel/panic":         "10",
		"kernel/panic_on_oops": "1",
	} {
		file := filepath.Join("/run/settings", setting)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := mountAll([]mount{{file, "/proc/sys/" + setting, "", unix.MS_BIND, ""}}); err != nil {
			return err
		}
	}
	return nil
}

type mount struct {
	what, where, kind string
	flags             uintptr
	options           string
}

func mountAll(mounts []mount) error {
	for _, m := range mounts {
		if err := unix.Mount(m.what, m.where, m.kind, m.flags, m.options); err != nil {
			return fmt.Errorf("mounting %s on %s: %w", m.what, m.where, err)
		}
	}
	return nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
