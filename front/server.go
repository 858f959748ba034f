package front

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Server serves the connections of a listener. Its fields are set before Serve.
type Server struct {
	// HTTP serves the connections that are handed over. Its Handler serves all requests, and
	// its ReadHeaderTimeout and ErrorLog hold for all connections.
	HTTP *http.Server
	// Short reports whether a POST to a target, a path and perhaps a query, is one that the
	// handler answers in one piece. Such a request has a context that never ends, and the
	// handler must not keep any part of it when it has returned.
	Short func(target string) bool

	closing atomic.Bool
	others  handover
	mu      struct {
		sync.Mutex
		listener net.Listener
		conns    map[*conn]struct{}
		empty    chan struct{} // closed when no connection is left; nil while nobody waits
	}
}

// Serve accepts connections until the listener fails or Shutdown is called, which is
// http.ErrServerClosed.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	s.mu.listener = l
	s.mu.conns = make(map[*conn]struct{})
	s.others = handover{address: l.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})}
	s.mu.Unlock()
	if s.closing.Load() {
		l.Close()
		return http.ErrServerClosed
	}
	failed := make(chan error, 1)
	go func() { failed <- s.HTTP.Serve(&s.others) }()
	err := s.accept(l)
	if !s.closing.Load() {
		s.HTTP.Close()
	}
	return errors.Join(err, ended(<-failed))
}

// ended turns the usual end of an http.Server into no error.
func ended(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) accept(l net.Listener) error {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	var temporary interface{ Temporary() bool }
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = shortest
			s.serve(nc)
		case s.closing.Load():
			return http.ErrServerClosed
		case errors.As(err, &temporary) && temporary.Temporary(): // such as out of file descriptors
			s.logf("front: accept: %v; again in %v", err, pause)
			time.Sleep(pause)
			pause = min(2*pause, longest)
		default:
			return err
		}
	}
}

// serve starts the goroutine of a connection.
func (s *Server) serve(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() { // Shutdown would not see it any more
		nc.Close()
		return
	}
	s.mu.conns[c] = struct{}{}
	go c.run()
}

// forget ends the server's interest in a connection.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.conns, c)
	if s.mu.empty != nil && len(s.mu.conns) == 0 {
		close(s.mu.empty)
		s.mu.empty = nil
	}
}

// Shutdown stops accepting, closes idle connections, and waits until the requests in progress
// are answered or ctx ends, which is its error.
func (s *Server) Shutdown(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.HTTP.Shutdown(ctx) }()
	return errors.Join(s.drain(ctx), <-failed)
}

func (s *Server) drain(ctx context.Context) error {
	s.closing.Store(true)
	empty := make(chan struct{})
	s.mu.Lock()
	if s.mu.listener != nil {
		s.mu.listener.Close()
	}
	for c := range s.mu.conns {
		c.closeIdle()
	}
	if len(s.mu.conns) == 0 {
		close(empty)
	} else {
		s.mu.empty = empty
	}
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) logf(format string, args ...any) {
	if s.HTTP.ErrorLog != nil {
		s.HTTP.ErrorLog.Printf(format, args...)
	}
}

// A handover is the listener from which net/http gets its connections.
type handover struct {
	address net.Addr
	conns   chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

// give hands a connection over, or closes it if net/http takes no more.
func (h *handover) give(nc net.Conn) {
	select {
	case h.conns <- nc:
	case <-h.closed:
		nc.Close()
	}
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case nc := <-h.conns:
		return nc, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *handover) Addr() net.Addr { return h.address }

// A resumed connection is one of which bytes have been read that are to be read again.
type resumed struct {
	net.Conn
	unread []byte
}

func (r *resumed) Read(p []byte) (int, error) {
	if len(r.unread) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.unread)
	if r.unread = r.unread[n:]; len(r.unread) == 0 {
		r.unread = nil
	}
	return n, nil
}
