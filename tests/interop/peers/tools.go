//go:build tools

// Package tools names the programs of Istio that tests talk to: independent ends of HBONE, and the
// control plane.
package tools

import (
	_ "istio.io/istio/pilot/cmd/pilot-discovery"
	_ "istio.io/istio/pkg/test/echo/cmd/client"
	_ "istio.io/istio/pkg/test/echo/cmd/server"
)
