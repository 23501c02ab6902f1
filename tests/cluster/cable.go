package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// plugIn lays a cable from the control plane's switch to a node, and gives the
// node its address and its routes.
func (c cluster) plugIn(number int) error {
	name := nodeName(number)
	node, alive := c.recorded(name)
	control, controlAlive := c.recorded("control")
	if !alive || !controlAlive {
		return errors.New("ended before its cable was there")
	}
	if err := layCable(control.pid, node.pid, name); err != nil {
		return fmt.Errorf("the cable: %w", err)
	}
	if err := within(node.pid, func(h *netlink.Handle) error { return address(h, number) }); err != nil {
		return fmt.Errorf("its address: %w", err)
	}
	// To the pods of every node that is or will be; who comes later changes nothing.
	for _, pid := range []int{control.pid, node.pid} {
		err := within(pid, func(h *netlink.Handle) error { return routes(h, pid == node.pid, number) })
		if err != nil {
			return fmt.Errorf("the routes: %w", err)
		}
	}
	return nil
}

func layCable(control, node int, name string) error {
	return within(control, func(h *netlink.Handle) error {
		// That of a node that was cut off is removed a moment after the node.
		if old, err := h.LinkByName(name); err == nil {
			if err := h.LinkDel(old); err != nil {
				return err
			}
		}
		plug, err := h.LinkByName("switch")
		if err != nil {
			return err
		}
		cable := &netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: name, MasterIndex: plug.Attrs().Index},
			PeerName:      "eth0",
			PeerNamespace: netlink.NsPid(node),
		}
		if err := h.LinkAdd(cable); err != nil {
			return err
		}
		return h.LinkSetUp(cable)
	})
}

func address(h *netlink.Handle, number int) error {
	link, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	own, err := netlink.ParseAddr(nodeIP(number) + "/24")
	if err != nil {
		return err
	}
	if err := h.AddrReplace(link, own); err != nil {
		return err
	}
	if err := h.LinkSetUp(link); err != nil {
		return err
	}
	return h.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(switchIP)})
}

func routes(h *netlink.Handle, isNode bool, own int) error {
	for number := 1; number <= maxNodes; number++ {
		if isNode && number == own {
			continue
		}
		_, pods, err := net.ParseCIDR(podCIDR(number))
		if err != nil {
			return err
		}
		if err := h.RouteReplace(&netlink.Route{Dst: pods, Gw: net.ParseIP(nodeIP(number))}); err != nil {
			return err
		}
	}
	return nil
}

// within does something in the network namespace of a process.
func within(pid int, do func(*netlink.Handle) error) error {
	namespace, err := netns.GetFromPid(pid)
	if err != nil {
		return err
	}
	defer namespace.Close()
	handle, err := netlink.NewHandleAt(namespace)
	if err != nil {
		return err
	}
	defer handle.Close()
	return do(handle)
}
