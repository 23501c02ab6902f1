package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
)

// The control plane's parts, in the order in which they start.
const (
	etcdPart       = "etcd"
	apiserverPart  = "kube-apiserver"
	controllerPart = "kube-controller-manager"
	schedulerPart  = "kube-scheduler"
)

// audit has a line for each request: who asked for what, and the answer's code.
const audit = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
`

// control is the process that owns the control plane's parts.
//
// In a cluster with nodes it is in a network namespace of its own, and file
// descriptor 3 listens on this machine's loopback address for it.
func (c cluster) control(args []string) error {
	flags := flag.NewFlagSet("control", flag.ContinueOnError)
	owner := flags.Int("owner", 0, "end with this process")
	lease := flags.Duration("lease", 0, "end when nobody has asked for this long")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := c.record("control", os.Getpid()); err != nil {
		return err
	}
	s, err := c.settings()
	if err != nil {
		return err
	}
	if s.Kind == "nodes" {
		if err := plugInSwitch(); err != nil {
			return fmt.Errorf("the control plane's network: %w", err)
		}
		listener, err := net.FileListener(os.NewFile(3, "listener"))
		if err != nil {
			return err
		}
		go forward(listener, net.JoinHostPort(switchIP, fmt.Sprint(s.Port)))
	}
	supervisor := supervisor{parts: c.controlParts(s)}
	over := supervisor.ends(*owner, *lease)
	err = supervisor.run(c.path("run", "control.sock"), over)
	if errors.Is(err, errOver) {
		fmt.Fprintln(os.Stderr, err)
		return c.detach("down").Start()
	}
	return err
}

func (c cluster) controlParts(s settings) []part {
	pki := func(file string) string { return c.path("pki", file) }
	etcd := loopback(s.Etcd)
	apiserver := []string{
		"--etcd-servers=http://" + etcd,
		fmt.Sprintf("--secure-port=%d", s.Port),
		"--tls-cert-file=" + pki("apiserver.crt"),
		"--tls-private-key-file=" + pki("apiserver.key"),
		"--client-ca-file=" + pki("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki("sa.pub"),
		"--service-account-signing-key-file=" + pki("sa.key"),
		"--service-cluster-ip-range=" + services,
		"--kubelet-client-certificate=" + pki("apiserver-kubelet.crt"),
		"--kubelet-client-key=" + pki("apiserver-kubelet.key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		// There is no kube-proxy where the API server is: webhooks are called at their pods.
		"--enable-aggregator-routing",
		// Else an orderly end waits for whoever watches, a minute.
		"--shutdown-watch-termination-grace-period=1s",
		"--audit-policy-file=" + c.path("audit.yaml"),
		"--audit-log-path=" + c.path("log", "audit.log"),
	}
	if s.Kind == "api" {
		// No Service may have an endpoint on the loopback address.
		apiserver = append(apiserver, "--bind-address=127.0.0.1", "--endpoint-reconciler-type=none")
	} else {
		apiserver = append(apiserver, "--bind-address=0.0.0.0", "--advertise-address="+switchIP)
	}
	return []part{
		c.component(etcdPart, "control",
			"--data", c.path("etcd"), "--clients", etcd, "--peers", loopback(s.Etcd+1)),
		c.component(apiserverPart, "control", apiserver...),
		c.component(controllerPart, "control",
			"--kubeconfig="+pki(controllerPart+".kubeconfig"),
			"--secure-port=0",
			"--leader-elect=false",
			// Most of a start is the accounts of all controllers.
			"--kube-api-qps=500",
			"--kube-api-burst=500",
			"--use-service-account-credentials",
			"--service-account-private-key-file="+pki("sa.key"),
			"--root-ca-file="+pki("ca.crt"),
			"--cluster-signing-cert-file="+pki("ca.crt"),
			"--cluster-signing-key-file="+pki("ca.key")),
		c.component(schedulerPart, "control",
			"--kubeconfig="+pki(schedulerPart+".kubeconfig"),
			"--secure-port=0",
			"--leader-elect=false"),
	}
}

// component is a part that is this program itself.
func (c cluster) component(name, owner string, flags ...string) part {
	return part{
		name: name,
		argv: append([]string{itself(), name}, flags...),
		env:  os.Environ(),
		dir:  c.folder,
		log:  c.path("log", owner, name+".log"),
	}
}

// plugInSwitch makes the bridge that nodes are plugged into.
func plugInSwitch() error {
	if err := linkUp("lo"); err != nil {
		return err
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "switch"}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return err
	}
	address, err := netlink.ParseAddr(switchIP + "/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(bridge, address); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
