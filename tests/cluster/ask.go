package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// request is what a supervisor is asked to do, one per connection.
type request struct {
	Do   string `json:"do"`
	Part string `json:"part,omitempty"`
}

type response struct {
	Error string      `json:"error,omitempty"`
	Parts []partState `json:"parts,omitempty"`
}

// partState is what is known of a part; PID is 0 unless it runs.
type partState struct {
	Name  string    `json:"name"`
	PID   int       `json:"pid,omitempty"`
	Since time.Time `json:"since"`
	Ended string    `json:"ended,omitempty"`
	Log   string    `json:"log"`
}

// asked is a request with a place for its answer.
type asked struct {
	request
	reply chan<- response
}

func responseOf(err error) response {
	if err != nil {
		return response{Error: err.Error()}
	}
	return response{}
}

// listen passes on what clients of a socket ask, and answers them.
func listen(socket string) (<-chan asked, error) {
	if err := os.RemoveAll(socket); err != nil {
		return nil, err
	}
	short, done, err := shortened(socket)
	if err != nil {
		return nil, err
	}
	defer done()
	listener, err := net.Listen("unix", short)
	if err != nil {
		return nil, err
	}
	requests := make(chan asked)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(client, requests)
		}
	}()
	return requests, nil
}

func serve(client net.Conn, requests chan<- asked) {
	defer client.Close()
	var r request
	if err := json.NewDecoder(client).Decode(&r); err != nil {
		return
	}
	reply := make(chan response, 1)
	requests <- asked{r, reply}
	json.NewEncoder(client).Encode(<-reply)
}

// ask has the supervisor of "control", or of a node, do something.
func (c cluster) ask(supervisor string, r request) (response, error) {
	short, done, err := shortened(c.path("run", supervisor+".sock"))
	if err != nil {
		return response{}, fmt.Errorf("no cluster %s is up", c.name())
	}
	defer done()
	connection, err := net.Dial("unix", short)
	if err != nil {
		return response{}, fmt.Errorf("%s is not up", supervisor)
	}
	defer connection.Close()
	if err := json.NewEncoder(connection).Encode(r); err != nil {
		return response{}, err
	}
	var answer response
	if err := json.NewDecoder(connection).Decode(&answer); err != nil {
		return response{}, fmt.Errorf("%s ended without an answer: %w", supervisor, err)
	}
	if answer.Error != "" {
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}

// shortened is another path to a socket, since theirs have at most 107 bytes.
func shortened(socket string) (string, func() error, error) {
	folder, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return "", nil, err
	}
	short := fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), filepath.Base(socket))
	return short, folder.Close, nil
}
