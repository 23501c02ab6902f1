package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// cluster is known by the folder of everything it writes; its name is that of
// the folder.
type cluster struct{ folder string }

// settings are chosen when the cluster is first started, and kept in its folder.
type settings struct {
	// Kind is "api" or "nodes".
	Kind string `json:"kind"`
	// Port is the API server's, on the loopback address of this machine.
	Port int `json:"port"`
	// Etcd is the first of etcd's two ports.
	Etcd int `json:"etcd"`
}

// Addresses of a cluster with nodes. They exist in its own network namespaces
// only, so that clusters do not meet.
const (
	services   = "10.96.0.0/16"
	apiService = "10.96.0.1"
	dnsService = "10.96.0.10"
	allPods    = "10.244.0.0/16"
	// switchIP is the control plane's.
	switchIP = "172.30.0.1"
	maxNodes = 9
)

func nodeName(number int) string { return fmt.Sprintf("node-%d", number) }
func nodeIP(number int) string   { return fmt.Sprintf("172.30.0.%d", 10+number) }
func podCIDR(number int) string  { return fmt.Sprintf("10.244.%d.0/24", number) }

// nodeNumber is the inverse of nodeName; 0 is no node.
func nodeNumber(name string) int {
	for number := 1; number <= maxNodes; number++ {
		if name == nodeName(number) {
			return number
		}
	}
	return 0
}

func (c cluster) name() string { return filepath.Base(c.folder) }

// path is that of a file or folder of the cluster.
func (c cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.folder}, parts...)...)
}

// adminConfig is the kubeconfig of whoever may do everything.
func (c cluster) adminConfig() string { return c.path("admin.kubeconfig") }

func (c cluster) settings() (settings, error) {
	var s settings
	text, err := os.ReadFile(c.path("settings.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("no cluster %s is up", c.name())
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}

func (c cluster) save(s settings) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(c.path("settings.json"), text, 0o644)
}

// locked runs an action while nobody else starts or ends this cluster.
func (c cluster) locked(action func() error) error {
	if err := os.MkdirAll(filepath.Dir(c.folder), 0o755); err != nil {
		return err
	}
	// Beside the folder, which comes and goes.
	lock, err := os.OpenFile(c.folder+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("%s: %w", lock.Name(), err)
	}
	return action()
}

// freePorts finds count free ports of the loopback address in a row, below
// those that outgoing connections take. Whoever looks at the same moment begins
// at ports of its own: they are not taken at once.
func freePorts(count int) (int, error) {
	for first := 20000 + os.Getpid()*count%12000; first+count <= 32000; first += count {
		if portsAreFree(first, count) {
			return first, nil
		}
	}
	for first := 20000; first+count <= 32000; first += count {
		if portsAreFree(first, count) {
			return first, nil
		}
	}
	return 0, errors.New("no free port between 20000 and 32000")
}

func portsAreFree(first, count int) bool {
	for port := first; port < first+count; port++ {
		listener, err := net.Listen("tcp", loopback(port))
		if err != nil {
			return false
		}
		listener.Close()
	}
	return true
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// lastWords are the last lines of a log, to be shown with an error.
func lastWords(log string) string {
	text, err := os.ReadFile(log)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if len(lines) > 8 {
		lines = lines[len(lines)-8:]
	}
	return fmt.Sprintf("\n%s says last:\n    %s", log, strings.Join(lines, "\n    "))
}
