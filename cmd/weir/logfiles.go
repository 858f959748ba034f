package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/weir-run/weir/lambda"
)

// logFiles keeps the log streams of functions as files:
// logs/ACCOUNT/REGION/GROUP/STREAM.log. Lines are not synced.
type logFiles struct{ dir string }

// maxLogFile is the size in bytes at which a stream starts anew; the part before it is kept
// as STREAM.log.1.
const maxLogFile = 64 << 20

func (l *logFiles) open(scope lambda.Scope, group, stream string) (io.WriteCloser, error) {
	path := filepath.Join(l.dir, scope.Account, scope.Region, filepath.FromSlash(filepath.Join("/", group)), filepath.FromSlash(filepath.Join("/", stream))) + ".log"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("open a log stream: %w", err)
	}
	f := &logFile{path: path}
	return f, f.open()
}

type logFile struct {
	path string
	file *os.File
	size int64
}

func (f *logFile) open() error {
	var err error
	if f.file, err = os.OpenFile(f.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
		return fmt.Errorf("open a log stream: %w", err)
	}
	f.size = 0
	return nil
}

func (f *logFile) Write(p []byte) (int, error) {
	if f.size+int64(len(p)) > maxLogFile {
		if err := f.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := f.file.Write(p)
	f.size += int64(n)
	return n, err
}

func (f *logFile) rotate() error {
	if err := f.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.path, f.path+".1"); err != nil {
		return err
	}
	return f.open()
}

func (f *logFile) Close() error { return f.file.Close() }
