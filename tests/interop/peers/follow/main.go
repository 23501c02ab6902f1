// Follow asks a control plane for everything and prints each resource as a line of JSON, decoded
// with Istio's own types.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"istio.io/istio/pkg/workloadapi"
	"istio.io/istio/pkg/workloadapi/security"
)

const (
	addresses = "type.googleapis.com/istio.workload.Address"
	policies  = "type.googleapis.com/istio.security.Authorization"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: follow HOST:PORT")
	}
	if err := follow(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

// follow asks for both types, prints what comes first of each, and accepts it.
func follow(server string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := grpc.NewClient(server, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := discovery.NewAggregatedDiscoveryServiceClient(conn)
	stream, err := client.DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	node := &core.Node{Id: "ztunnel~10.0.0.1~follow.interop~interop.svc.cluster.local"}
	for _, kind := range []string{addresses, policies} {
		request := &discovery.DeltaDiscoveryRequest{Node: node, TypeUrl: kind}
		if err := stream.Send(request); err != nil {
			return err
		}
	}
	for missing := map[string]bool{addresses: true, policies: true}; len(missing) > 0; {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, resource := range response.Resources {
			if err := show(response.TypeUrl, resource); err != nil {
				return err
			}
		}
		delete(missing, response.TypeUrl)
		accepted := &discovery.DeltaDiscoveryRequest{
			TypeUrl: response.TypeUrl, ResponseNonce: response.Nonce,
		}
		if err := stream.Send(accepted); err != nil {
			return err
		}
	}
	return nil
}

// show prints one resource; a field that Istio's types do not have is an error.
func show(kind string, resource *discovery.Resource) error {
	var message proto.Message = &workloadapi.Address{}
	if kind == policies {
		message = &security.Authorization{}
	}
	if err := resource.Resource.UnmarshalTo(message); err != nil {
		return fmt.Errorf("%s: %w", resource.Name, err)
	}
	if unknown := message.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		return fmt.Errorf("%s: %d bytes of unknown fields", resource.Name, len(unknown))
	}
	text, err := protojson.Marshal(message)
	if err != nil {
		return err
	}
	fmt.Printf("{\"name\":%q,\"kind\":%q,\"resource\":%s}\n", resource.Name, kind, text)
	return nil
}
