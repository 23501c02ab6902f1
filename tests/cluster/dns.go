package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

//go:embed coredns.yaml
var dnsManifest string

// startDNS has CoreDNS run in the cluster, and waits until it answers.
func (c cluster) startDNS(client *kubernetes.Clientset) error {
	deployments := client.AppsV1().Deployments("kube-system")
	if _, err := deployments.Get(context.Background(), "coredns", meta.GetOptions{}); err != nil {
		manifest := fmt.Sprintf(dnsManifest, busyboxImage, dnsService)
		if _, err := c.kubectlRun(manifest, "apply", "--filename", "-"); err != nil {
			return err
		}
	}
	return await(2*time.Minute, "CoreDNS", func() error {
		found, err := deployments.Get(context.Background(), "coredns", meta.GetOptions{})
		if err == nil && found.Status.AvailableReplicas == 0 {
			return errors.New("its pod is not ready")
		}
		return err
	})
}
