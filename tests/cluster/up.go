package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"golang.org/x/sys/unix"
)

// wish is what `api` and `nodes` are asked for.
type wish struct {
	kind  string
	nodes int
	port  int
	owner int
	lease time.Duration
}

// up starts a cluster, or what is missing of one that is up.
func (c cluster) up(kind string, args []string) error {
	w := wish{kind: kind}
	flags := flag.NewFlagSet(kind, flag.ContinueOnError)
	flags.IntVar(&w.port, "port", 0, "port of the API server on the loopback address; else a free one")
	flags.IntVar(&w.owner, "owner", 0, "end with this process")
	flags.DurationVar(&w.lease, "lease", 0, "end when nobody has asked for this long")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if kind == "nodes" {
		count, err := strconv.Atoi(flags.Arg(0))
		if err != nil || count < 1 || count > maxNodes {
			return fmt.Errorf("say how many nodes: 1 to %d", maxNodes)
		}
		w.nodes = count
	}
	return c.locked(func() error { return c.provide(w) })
}

func (c cluster) provide(w wish) error {
	if w.kind == "nodes" {
		if err := c.canHaveNodes(); err != nil {
			return err
		}
	}
	s, err := c.found(w)
	if err != nil {
		return err
	}
	if err := c.startControl(s, w); err != nil {
		return err
	}
	if w.kind == "api" {
		return nil
	}
	return c.startNodes(w.nodes)
}

// found is the cluster that is up, or the settings of a new one.
func (c cluster) found(w wish) (settings, error) {
	s, err := c.settings()
	if _, alive := c.recorded("control"); err == nil && alive {
		if s.Kind != w.kind {
			return s, fmt.Errorf("cluster %s is up as %q: end it with `down`, or choose another name", c.name(), s.Kind)
		}
		if w.port != 0 && w.port != s.Port {
			return s, fmt.Errorf("cluster %s is up on port %d: end it with `down`, or leave the port out", c.name(), s.Port)
		}
		return s, nil
	}
	// What a killed run of the same name has left.
	if err := c.down(); err != nil {
		return s, err
	}
	s = settings{Kind: w.kind, Port: w.port}
	first, err := freePorts(3)
	if err != nil {
		return s, err
	}
	s.Etcd = first
	if s.Port == 0 {
		s.Port = first + 2
	} else if !portsAreFree(s.Port, 1) {
		return s, fmt.Errorf("port %d is taken: choose another with --port, or leave it out and a free one is found", s.Port)
	}
	for _, folder := range []string{"run", "log", "images"} {
		if err := os.MkdirAll(c.path(folder), 0o755); err != nil {
			return s, err
		}
	}
	if err := os.WriteFile(c.path("audit.yaml"), []byte(audit), 0o644); err != nil {
		return s, err
	}
	if err := c.makeKeys(s); err != nil {
		return s, fmt.Errorf("making keys: %w", err)
	}
	return s, c.save(s)
}

func (c cluster) makeKeys(s settings) error {
	keys, err := openKeyring(c.path("pki"))
	if err != nil {
		return err
	}
	server := "https://" + loopback(s.Port)
	holders := map[string]holder{
		"apiserver": {
			user:  "kube-apiserver",
			names: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
			ips:   []string{"127.0.0.1", apiService, switchIP},
		},
		"apiserver-kubelet": {user: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}},
		"admin":             {user: "admin", groups: []string{"system:masters"}},
		controllerPart:      {user: "system:kube-controller-manager"},
		schedulerPart:       {user: "system:kube-scheduler"},
	}
	for name, holder := range holders {
		if err := keys.issue(name, holder); err != nil {
			return err
		}
	}
	for _, name := range []string{controllerPart, schedulerPart} {
		if err := keys.kubeconfig(keys.path(name+".kubeconfig"), server, name); err != nil {
			return err
		}
	}
	return keys.kubeconfig(c.adminConfig(), server, "admin")
}

// startControl starts the owner of the control plane's parts, and the parts.
func (c cluster) startControl(s settings, w wish) error {
	if _, alive := c.recorded("control"); !alive {
		if err := c.startOwner(s, w); err != nil {
			return err
		}
	}
	for _, part := range []string{etcdPart, apiserverPart} {
		if _, err := c.ask("control", request{"start", part}); err != nil {
			return err
		}
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := c.awaitServer(client); err != nil {
		return err
	}
	for _, part := range []string{controllerPart, schedulerPart} {
		if _, err := c.ask("control", request{"start", part}); err != nil {
			return err
		}
	}
	return await(time.Minute, "the first service account", func() error {
		if err := c.allRun("control"); err != nil {
			return err
		}
		_, err := client.CoreV1().ServiceAccounts("default").Get(context.Background(), "default", meta.GetOptions{})
		return err
	})
}

func (c cluster) startOwner(s settings, w wish) error {
	log, err := os.Create(c.path("log", "control.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	owner := c.detach("control", fmt.Sprintf("--owner=%d", w.owner), fmt.Sprintf("--lease=%v", w.lease))
	owner.Stdout, owner.Stderr = log, log
	if s.Kind == "nodes" {
		listener, err := net.Listen("tcp", loopback(s.Port))
		if err != nil {
			return err
		}
		defer listener.Close()
		file, err := listener.(*net.TCPListener).File()
		if err != nil {
			return err
		}
		defer file.Close()
		owner.ExtraFiles = []*os.File{file}
		owner.SysProcAttr.Cloneflags = unix.CLONE_NEWNET | unix.CLONE_NEWUTS
	}
	if err := owner.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- owner.Wait() }()
	return await(20*time.Second, "the control plane's first process", func() error {
		select {
		case err := <-ended:
			return finalError{fmt.Errorf("the control plane's first process ended: %v%s", err, lastWords(log.Name()))}
		default:
		}
		_, err := c.ask("control", request{Do: "status"})
		return err
	})
}

// client speaks with the API server as its administrator.
func (c cluster) client() (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.adminConfig())
	if err != nil {
		return nil, err
	}
	config.Timeout = 10 * time.Second
	return kubernetes.NewForConfig(config)
}

// awaitServer waits until the API server is ready, or has ended.
func (c cluster) awaitServer(client *kubernetes.Clientset) error {
	return await(2*time.Minute, "the API server", func() error {
		if err := c.allRun("control"); err != nil {
			return err
		}
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(context.Background()).Error()
	})
}

// allRun is an error when a part that was started has ended.
func (c cluster) allRun(supervisor string) error {
	answer, err := c.ask(supervisor, request{Do: "status"})
	if err != nil {
		return finalError{err}
	}
	for _, part := range answer.Parts {
		if part.Ended != "" {
			return finalError{errors.New(part.Name + " ended: " + part.Ended + lastWords(part.Log))}
		}
	}
	return nil
}
