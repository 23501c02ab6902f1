package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// busyboxImage is what pods of tests are made of, and the pause container.
const busyboxImage = "localhost/busybox:test"

// writeNodeFiles writes the configuration of a node's programs.
func (c cluster) writeNodeFiles(number int) error {
	for path, text := range map[string]string{
		"/etc/cni/net.d/10-bridge.conflist": fmt.Sprintf(cniList, podCIDR(number)),
		"/etc/containerd/config.toml":       fmt.Sprintf(containerdConfig, busyboxImage),
		"/etc/kubernetes/kubelet.yaml": fmt.Sprintf(kubeletConfig, nodeIP(number),
			c.path("pki", "ca.crt"), c.path("pki", nodeName(number)), dnsService),
		"/etc/kubernetes/kube-proxy.yaml": fmt.Sprintf(kubeProxyConfig, allPods, nodeName(number),
			c.path("pki", "kube-proxy-"+nodeName(number)+".kubeconfig")),
		"/etc/kubernetes/resolv.conf": noNames,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		// After a power cut it is as it was: another program may have changed it.
		if _, err := os.Stat(path); err == nil && filepath.Ext(path) == ".conflist" {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// noNames: nothing beyond the cluster is reached from it.
const noNames = "nameserver 127.0.0.1\n"

const cniList = `{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "%s"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

const containerdConfig = `version = 2

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "%s"
# Lowering an OOM score takes a privilege that not every machine grants.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"
`

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %s
authentication:
  x509:
    clientCAFile: %s
tlsCertFile: %[3]s.crt
tlsPrivateKeyFile: %[3]s.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
clusterDomain: cluster.local
clusterDNS: ["%[4]s"]
resolvConf: /etc/kubernetes/resolv.conf
# Images are imported, and could not be pulled again.
imageGCHighThresholdPercent: 100
evictionHard:
  memory.available: 100Mi
  nodefs.available: 1%%
`

// Connection tracking has limits of the whole machine: they stay as they are.
const kubeProxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: %s
hostnameOverride: %s
clientConnection:
  kubeconfig: %s
conntrack:
  maxPerCore: 0
  tcpEstablishedTimeout: 0s
  tcpCloseWaitTimeout: 0s
`
