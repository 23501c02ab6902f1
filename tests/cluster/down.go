package main

import (
	"os"
)

// down ends the cluster and removes all it made, also what a killed run of the
// same name has left.
func (c cluster) down() error {
	names := []string{"control"}
	for number := 1; number <= maxNodes; number++ {
		names = append(names, nodeName(number))
	}
	// Whoever owns the others goes first, so that nothing is started any more.
	for _, name := range names {
		if p, alive := c.recorded(name); alive {
			if err := p.end(); err != nil {
				return err
			}
		}
	}
	if os.Geteuid() == 0 {
		if err := c.removeCgroups(c.cgroup("")); err != nil {
			return err
		}
	}
	return os.RemoveAll(c.folder)
}
