package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-run/weir/lambda"
)

func TestLogFilesStayInside(t *testing.T) {
	scope := lambda.Scope{Account: "111122223333", Region: "us-east-1"}
	for _, c := range []struct{ group, stream, want string }{
		{"/aws/lambda/f", "2026/01/01/[$LATEST]00", "aws/lambda/f/2026/01/01/[$LATEST]00.log"},
		{"../../../../f", "../../s", "f/s.log"},
	} {
		dir := t.TempDir()
		l := logFiles{dir}
		w, err := l.open(scope, c.group, c.stream)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("a line\n")); err != nil {
			t.Error(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "111122223333", "us-east-1", c.want))
		if err != nil || string(text) != "a line\n" {
			t.Errorf("group %q, stream %q: %q, %v", c.group, c.stream, text, err)
		}
	}
}

// TestLogFileStartsAnew writes past the size at which a stream is put aside.
func TestLogFileStartsAnew(t *testing.T) {
	dir := t.TempDir()
	l := logFiles{dir}
	w, err := l.open(lambda.Scope{Account: "a", Region: "r"}, "g", "s")
	if err != nil {
		t.Fatal(err)
	}
	const lines = 5
	line := append(bytes.Repeat([]byte("x"), maxLogFile/4), '\n')
	for range lines {
		if _, err := w.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"s.log.1": 3, "s.log": lines - 3} {
		info, err := os.Stat(filepath.Join(dir, "a", "r", "g", name))
		if err != nil || info.Size() != int64(want*len(line)) {
			t.Errorf("%s: %v, %v; want %d lines", name, info, err, want)
		}
	}
}
