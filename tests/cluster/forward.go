package main

import "net"

// forward carries connections from a listener to an address, for good.
func forward(from net.Listener, to string) {
	for {
		client, err := from.Accept()
		if err != nil {
			return
		}
		go carry(client.(*net.TCPConn), to)
	}
}

func carry(client *net.TCPConn, to string) {
	defer client.Close()
	connection, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer connection.Close()
	server := connection.(*net.TCPConn)
	done := make(chan struct{}, 2)
	one := func(to, from *net.TCPConn) {
		to.ReadFrom(from)
		to.CloseWrite()
		done <- struct{}{}
	}
	go one(server, client)
	go one(client, server)
	<-done
	<-done
}
