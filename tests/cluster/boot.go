package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"golang.org/x/sys/unix"
)

// nodePrograms are what a node runs beside this program.
var nodePrograms = []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc", "nft", "busybox", "nsenter"}

// ownFolders are those of which each node has its own.
var ownFolders = []string{"/etc", "/opt", "/run", "/var", "/proc", "/sys"}

// canHaveNodes says what this machine lacks for nodes, and the way out.
func (c cluster) canHaveNodes() error {
	if os.Geteuid() != 0 {
		return errors.New("nodes need root: they have namespaces, mounts and cgroups of their own (`api` goes without)")
	}
	for _, folder := range ownFolders {
		if strings.HasPrefix(c.folder, folder+"/") {
			return fmt.Errorf("%s: each node has a %s of its own and would not find the cluster's files: choose another --state", c.folder, folder)
		}
	}
	var missing []string
	for _, program := range nodePrograms {
		if findProgram(program) == "" {
			missing = append(missing, program)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("no %s: `cargo xtask cluster build` gets them, or install containerd, runc, containernetworking-plugins, nftables, iptables, busybox-static and util-linux", strings.Join(missing, ", "))
	}
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		if h.kind == "cgroup" {
			return nil
		}
	}
	return errors.New("this machine has cgroup v2 alone, and nodes need the v1 controllers: boot with systemd.unified_cgroup_hierarchy=0, or use `api`, which needs no cgroups")
}

// startNodes starts the first nodes of the cluster, as far as they do not run.
func (c cluster) startNodes(count int) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := c.makeBusybox(); err != nil {
		return fmt.Errorf("the image busybox: %w", err)
	}
	started := make(chan error, count)
	for number := 1; number <= count; number++ {
		go func() {
			if err := c.startNode(client, number); err != nil {
				started <- fmt.Errorf("%s: %w", nodeName(number), err)
				return
			}
			started <- nil
		}()
	}
	var failed error
	for range count {
		failed = errors.Join(failed, <-started)
	}
	if failed != nil {
		return failed
	}
	return c.startDNS(client)
}

// startNode boots a node unless it runs, and waits until it is ready.
func (c cluster) startNode(client *kubernetes.Clientset, number int) error {
	name, since := nodeName(number), time.Now()
	if err := c.makeNodeKeys(number); err != nil {
		return err
	}
	if _, runs := c.recorded(name); runs {
		// What it said last may be minutes old, and is true.
		since = time.Time{}
	} else if err := c.bootNode(number); err != nil {
		return err
	}
	if _, err := c.ask(name, request{"start", "containerd"}); err != nil {
		return err
	}
	p, alive := c.recorded(name)
	if !alive {
		return errors.New("ended as it started" + lastWords(c.path("log", name+".log")))
	}
	// The socket is inside the node, where only its first process leads.
	socket := fmt.Sprintf("/proc/%d/root/run/containerd/containerd.sock", p.pid)
	err := await(time.Minute, "containerd", func() error {
		if err := c.allRun(name); err != nil {
			return err
		}
		connection, err := net.Dial("unix", socket)
		if err == nil {
			connection.Close()
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := c.importInto(name, c.path("images", "busybox.tar")); err != nil {
		return err
	}
	for _, part := range []string{"kubelet", "kube-proxy"} {
		if _, err := c.ask(name, request{"start", part}); err != nil {
			return err
		}
	}
	return c.awaitNode(client, number, since)
}

func (c cluster) makeNodeKeys(number int) error {
	name := nodeName(number)
	s, err := c.settings()
	if err != nil {
		return err
	}
	keys, err := openKeyring(c.path("pki"))
	if err != nil {
		return err
	}
	server := "https://" + net.JoinHostPort(switchIP, strconv.Itoa(s.Port))
	for file, holder := range map[string]holder{
		name:                 {user: "system:node:" + name, groups: []string{"system:nodes"}, names: []string{name}, ips: []string{nodeIP(number)}},
		"kube-proxy-" + name: {user: "system:kube-proxy"},
	} {
		if err := keys.issue(file, holder); err != nil {
			return err
		}
		if err := keys.kubeconfig(keys.path(file+".kubeconfig"), server, file); err != nil {
			return err
		}
	}
	return nil
}

// bootNode starts a node's first process, and plugs its cable in.
func (c cluster) bootNode(number int) error {
	name := nodeName(number)
	if err := c.removeCgroups(c.cgroup(name)); err != nil {
		return err
	}
	log, err := os.OpenFile(c.path("log", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	boot := c.detach("boot", strconv.Itoa(number))
	boot.Stdout, boot.Stderr = log, log
	if err := boot.Run(); err != nil {
		return fmt.Errorf("%w%s", err, lastWords(log.Name()))
	}
	err = await(20*time.Second, "its first process", func() error {
		if _, alive := c.recorded(name); !alive {
			return finalError{errors.New("ended as it started" + lastWords(log.Name()))}
		}
		_, err := c.ask(name, request{Do: "status"})
		return err
	})
	if err != nil {
		return err
	}
	return c.plugIn(number)
}

// boot joins a node's cgroup and starts the node's first process from there, so
// that the cgroup is the root of what the node sees.
func (c cluster) boot(args []string) error {
	number, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	name := nodeName(number)
	if err := joinCgroup(c.cgroup(name)); err != nil {
		return err
	}
	first := exec.Command(itself(), "--state", c.folder, "node", args[0])
	first.Stdout, first.Stderr = os.Stdout, os.Stderr
	first.Dir = "/"
	first.Env = []string{"PATH=" + nodePath, "HOME=/", "CONTAINERD_NAMESPACE=k8s.io"}
	first.SysProcAttr = &unix.SysProcAttr{
		Setsid: true,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
			unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP,
	}
	if err := first.Start(); err != nil {
		return err
	}
	return c.record(name, first.Process.Pid)
}

// awaitNode gives a node the addresses of its pods, and waits until it has said since then that it is
// ready.
func (c cluster) awaitNode(client *kubernetes.Clientset, number int, since time.Time) error {
	name := nodeName(number)
	addresses := fmt.Sprintf(`{"spec":{"podCIDR":%q,"podCIDRs":[%[1]q]}}`, podCIDR(number))
	nodes := client.CoreV1().Nodes()
	return await(2*time.Minute, "the node to be ready", func() error {
		if err := c.allRun(name); err != nil {
			return err
		}
		node, err := nodes.Get(context.Background(), name, meta.GetOptions{})
		if err != nil {
			return err
		}
		if node.Spec.PodCIDR == "" {
			_, err := nodes.Patch(context.Background(), name, types.StrategicMergePatchType, []byte(addresses), meta.PatchOptions{})
			if err != nil {
				return err
			}
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type != core.NodeReady {
				continue
			}
			// After a power cut the API goes on saying what it last heard.
			if condition.Status == core.ConditionTrue && condition.LastHeartbeatTime.After(since.Add(-2*time.Second)) {
				return nil
			}
			return fmt.Errorf("%s: %s", condition.Reason, condition.Message)
		}
		return errors.New("it has not said yet")
	})
}

// findProgram is where a program of nodes is, on the machine or unpacked.
func findProgram(name string) string {
	for _, root := range []string{"/", unpackedRoot()} {
		for folder := range strings.SplitSeq("usr/bin:usr/sbin:usr/local/bin:usr/local/sbin:bin:sbin", ":") {
			path := filepath.Join(root, folder, name)
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				return path
			}
		}
	}
	return ""
}

// unpackedRoot is where packages are unpacked that the machine lacks: beside the
// folder of this program.
func unpackedRoot() string {
	return filepath.Join(filepath.Dir(filepath.Dir(itself())), "root")
}
