package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// part is a program that a supervisor starts when it is asked to.
type part struct {
	name string
	argv []string
	env  []string
	dir  string
	log  string
}

// supervisor owns the processes of the control plane, or of a node: they live
// no longer than it does. It starts and ends them on request, and starts
// nothing by itself.
type supervisor struct {
	parts []part
	live  map[string]*live
	ended map[string]string
	// heard is when somebody last asked for something, in seconds since 1970.
	heard atomic.Int64
}

// live is a running part, and whoever waits for its end.
type live struct {
	pid     int
	since   time.Time
	waiting []chan<- response
}

// errOver is the end of a supervisor that nobody needs any more.
var errOver = errors.New("not needed any more")

// run serves requests until it is told to end, or until one of the reasons of
// over comes up.
//
// Children die with the thread that started them, so that this goroutine, which
// starts them all, keeps its thread.
func (s *supervisor) run(socket string, over <-chan string) error {
	runtime.LockOSThread()
	s.live, s.ended = map[string]*live{}, map[string]string{}
	requests, err := listen(socket)
	if err != nil {
		return err
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	told := make(chan os.Signal, 1)
	signal.Notify(told, unix.SIGTERM, unix.SIGINT)
	for {
		select {
		case r := <-requests:
			s.heard.Store(time.Now().Unix())
			s.answer(r)
		case <-children:
			s.reap()
		case <-told:
			return nil
		case why := <-over:
			return fmt.Errorf("%w: %s", errOver, why)
		}
	}
}

// answer does what is asked, or leaves it to the end of a process to answer.
func (s *supervisor) answer(r asked) {
	if r.Do == "status" {
		r.reply <- response{Parts: s.states()}
		return
	}
	p, ok := s.part(r.Part)
	if !ok {
		r.reply <- response{Error: fmt.Sprintf("no part %s", r.Part)}
		return
	}
	l := s.live[r.Part]
	switch {
	case r.Do == "start" && l != nil:
		r.reply <- response{}
	case r.Do == "start":
		r.reply <- responseOf(s.start(p))
	case l == nil && (r.Do == "stop" || r.Do == "kill"):
		r.reply <- response{}
	case l == nil:
		r.reply <- response{Error: fmt.Sprintf("%s is not running", r.Part)}
	case r.Do == "stop":
		// A stopped process takes no other signal before it goes on.
		s.signal(r, l, unix.SIGTERM, unix.SIGCONT)
	case r.Do == "kill":
		s.signal(r, l, unix.SIGKILL)
	case r.Do == "pause":
		r.reply <- responseOf(unix.Kill(l.pid, unix.SIGSTOP))
	case r.Do == "resume":
		r.reply <- responseOf(unix.Kill(l.pid, unix.SIGCONT))
	default:
		r.reply <- response{Error: fmt.Sprintf("cannot %s a part", r.Do)}
	}
}

// signal sends signals that end a part; its end is the answer.
func (s *supervisor) signal(r asked, l *live, signals ...unix.Signal) {
	for _, sig := range signals {
		if err := unix.Kill(l.pid, sig); err != nil {
			r.reply <- responseOf(err)
			return
		}
	}
	l.waiting = append(l.waiting, r.reply)
}

func (s *supervisor) start(p part) error {
	if err := os.MkdirAll(filepath.Dir(p.log), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(p.argv[0], p.argv[1:]...)
	command.Env, command.Dir = p.env, p.dir
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := command.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	s.live[p.name] = &live{pid: command.Process.Pid, since: time.Now()}
	delete(s.ended, p.name)
	// Waited for by reap, with the orphans that a node's first process is given.
	return command.Process.Release()
}

// reap waits for every child that has ended.
func (s *supervisor) reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		for name, l := range s.live {
			if l.pid != pid {
				continue
			}
			delete(s.live, name)
			s.ended[name] = describe(status)
			for _, reply := range l.waiting {
				reply <- response{}
			}
		}
	}
}

func describe(status unix.WaitStatus) string {
	if status.Signaled() {
		return fmt.Sprintf("killed by %v", status.Signal())
	}
	return fmt.Sprintf("exit code %d", status.ExitStatus())
}

func (s *supervisor) part(name string) (part, bool) {
	for _, p := range s.parts {
		if p.name == name {
			return p, true
		}
	}
	return part{}, false
}

func (s *supervisor) states() []partState {
	var states []partState
	for _, p := range s.parts {
		state := partState{Name: p.name, Log: p.log, Ended: s.ended[p.name]}
		if l := s.live[p.name]; l != nil {
			state.PID, state.Since = l.pid, l.since
		}
		states = append(states, state)
	}
	return states
}

// ends gives a reason to end that is not a signal: the process that owns the
// cluster has ended, or nobody has asked for the cluster in a while.
func (s *supervisor) ends(owner int, lease time.Duration) <-chan string {
	over := make(chan string, 2)
	if owner != 0 {
		go func() {
			awaitEnd(owner)
			over <- fmt.Sprintf("process %d, which owns the cluster, has ended", owner)
		}()
	}
	if lease != 0 {
		s.heard.Store(time.Now().Unix())
		go func() {
			for left := lease; left > 0; {
				time.Sleep(left)
				left = time.Until(time.Unix(s.heard.Load(), 0).Add(lease))
			}
			over <- fmt.Sprintf("nobody has asked for the cluster in %v", lease)
		}()
	}
	return over
}

// awaitEnd returns when a process, which need not be a child, has ended.
func awaitEnd(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if err != unix.EINTR {
			return
		}
	}
}
