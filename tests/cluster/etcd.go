package main

import (
	"errors"
	"flag"
	"net/url"
	"os"
	"os/signal"

	"go.etcd.io/etcd/server/v3/embed"
	"golang.org/x/sys/unix"
)

// runEtcd is an etcd of one member on the loopback address.
//
//	etcd --data DIR --clients HOST:PORT --peers HOST:PORT
func runEtcd(args []string) error {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	data := flags.String("data", "", "data folder")
	clients := flags.String("clients", "", "address for clients")
	peers := flags.String("peers", "", "address for other members, of which there are none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config := embed.NewConfig()
	config.Dir = *data
	config.LogLevel = "warn"
	// It outlives a kill of the process, not a power cut: it is only a test's.
	config.UnsafeNoFsync = true
	client := []url.URL{{Scheme: "http", Host: *clients}}
	config.ListenClientUrls, config.AdvertiseClientUrls = client, client
	peer := []url.URL{{Scheme: "http", Host: *peers}}
	config.ListenPeerUrls, config.AdvertisePeerUrls = peer, peer
	config.InitialCluster = config.InitialClusterFromName(config.Name)

	told := make(chan os.Signal, 1)
	signal.Notify(told, unix.SIGTERM, unix.SIGINT)
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer server.Close()
	select {
	case <-told:
		return nil
	case err, open := <-server.Err():
		if !open {
			return errors.New("ended by itself")
		}
		return err
	}
}
