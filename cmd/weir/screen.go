package main

import (
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A screen is a terminal that a program has to itself; or, if it is none, a plain output.
type screen struct {
	out     io.Writer
	file    *os.File // of a terminal, or nil
	before  *unix.Termios
	keys    chan byte
	resized chan os.Signal
}

const (
	ansiEnter = "\x1b[?1049h\x1b[?25l" // the alternate screen, without a cursor
	ansiLeave = "\x1b[?25h\x1b[?1049l"
	ansiHome  = "\x1b[H"
	ansiLine  = "\x1b[K\r\n" // clears what the last frame left behind
	ansiBelow = "\x1b[J"
)

// openScreen takes the terminal, if in and out are one. Keys then come at once.
func openScreen(in io.Reader, out io.Writer) (*screen, error) {
	s := &screen{out: out, keys: make(chan byte, 16), resized: make(chan os.Signal, 1)}
	source, isFile := in.(*os.File)
	target, outFile := out.(*os.File)
	if !isFile || !outFile {
		return s, nil
	}
	if _, err := unix.IoctlGetTermios(int(target.Fd()), ioctlGet); err != nil {
		return s, nil
	}
	before, err := unix.IoctlGetTermios(int(source.Fd()), ioctlGet)
	if err != nil {
		return s, nil
	}
	raw := *before
	raw.Lflag &^= unix.ICANON | unix.ECHO | unix.ISIG
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(source.Fd()), ioctlSet, &raw); err != nil {
		return nil, err
	}
	s.file, s.before = source, before
	signal.Notify(s.resized, syscall.SIGWINCH)
	go s.read() // ends with the program: a read from a terminal cannot be stopped
	_, err = io.WriteString(out, ansiEnter)
	return s, err
}

func (s *screen) read() {
	var b [1]byte
	for {
		if _, err := s.file.Read(b[:]); err != nil {
			return
		}
		s.keys <- b[0]
	}
}

// size returns the terminal's size.
func (s *screen) size() (width, height int) {
	if s.file != nil {
		if w, err := unix.IoctlGetWinsize(int(s.file.Fd()), unix.TIOCGWINSZ); err == nil && w.Col > 0 && w.Row > 1 {
			return int(w.Col), int(w.Row) - 1
		}
	}
	return 120, 0
}

// show replaces what is on the screen. An error shows in the next frame: there is none.
func (s *screen) show(frame string) {
	if s.file != nil {
		frame = ansiHome + strings.ReplaceAll(frame, "\n", ansiLine) + ansiBelow
	}
	_, _ = io.WriteString(s.out, frame)
}

func (s *screen) close() {
	signal.Stop(s.resized)
	if s.file == nil {
		return
	}
	_, _ = io.WriteString(s.out, ansiLeave)
	_ = unix.IoctlSetTermios(int(s.file.Fd()), ioctlSet, s.before)
}
