package store_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

func unpack(t testing.TB, s *store.Store, content string) (*store.Tree, error) {
	t.Helper()
	blob := put(t, s.Blobs(), content)
	defer blob.Release()
	tree, err := s.Blobs().Unpack(context.Background(), blob.Digest)
	if err == nil {
		t.Cleanup(tree.Release)
	}
	return tree, err
}

// tree prints a directory: path, mode and content or target.
func treeOf(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%v %s", info.Mode(), rel)
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " -> %s", target)
		case info.Mode().IsRegular():
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " = %.20q", text)
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Files are 0644 and directories 0755 whatever the archive and the umask say, save that
// executable bits count.
func TestUnpack(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	s, _ := openDisk(t)
	when := time.Date(2021, 2, 3, 4, 5, 7, 0, time.UTC)
	got, err := unpack(t, s, zipOf(t,
		entry{name: "lib/", mode: fs.ModeDir | 0o700},
		entry{name: "lib/deep/er/a.py", content: "a", mode: 0o600, time: when},
		entry{name: "bootstrap", content: "#!", mode: 0o700},
		entry{name: "run", content: "x", mode: 0o654 | fs.ModeSetuid},
		entry{name: "./dot.py", content: "dot", mode: 0o400},
		entry{name: "empty/", mode: fs.ModeDir | 0o755},
		entry{name: "late/link", content: "../bootstrap", mode: fs.ModeSymlink | 0o777},
		entry{name: "opt", content: "/opt/lib", mode: fs.ModeSymlink | 0o777},
		entry{name: "twice", content: "first", mode: 0o644},
		entry{name: "twice", content: "2nd", mode: 0o755},
		entry{name: "with space ü\\x", content: "odd", mode: 0o644},
	))
	if err != nil {
		t.Fatal(err)
	}
	want := `drwxr-xr-x .
-rwxr-xr-x bootstrap = "#!"
-rw-r--r-- dot.py = "dot"
drwxr-xr-x empty
drwxr-xr-x late
Lrwxrwxrwx late/link -> ../bootstrap
drwxr-xr-x lib
drwxr-xr-x lib/deep
drwxr-xr-x lib/deep/er
-rw-r--r-- lib/deep/er/a.py = "a"
Lrwxrwxrwx opt -> /opt/lib
-rwxr-xr-x run = "x"
-rwxr-xr-x twice = "2nd"
-rw-r--r-- with space ü\x = "odd"
`
	if text := treeOf(t, got.Dir); text != want {
		t.Errorf("unpacked\n%swant\n%s", text, want)
	}
	info, err := os.Stat(filepath.Join(got.Dir, "lib/deep/er/a.py"))
	if err != nil || !info.ModTime().Equal(when) {
		t.Errorf("time %v, want %v, %v", info.ModTime(), when, err)
	}
	if empty, err := unpack(t, s, zipOf(t)); err != nil || len(listing(t, empty.Dir)) != 0 {
		t.Errorf("an empty archive: %v", err)
	}
}

// What is wrong with an archive is its sender's to know; nothing of it is left, and nothing
// was written outside.
func TestUnpackRefuses(t *testing.T) {
	s, dir := openDisk(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	good := zipOf(t, file("a", strings.Repeat("content", 100)), file("b", "b"))
	link := func(name, target string) entry {
		return entry{name: name, content: target, mode: fs.ModeSymlink | 0o777}
	}
	for name, content := range map[string]string{
		"no zip":              "this is no zip",
		"empty file":          "",
		"cut off":             good[:len(good)-10],
		"damaged content":     strings.Replace(good, good[40:60], strings.Repeat("\xff", 20), 1),
		"encrypted":           encrypted(good),
		"unknown compression": method(good, 99),
		"up and out":          zipOf(t, file("../evil", "x")),
		"deep up and out":     zipOf(t, file("a/../../evil", "x")),
		"absolute":            zipOf(t, file(outside+"/evil", "x")),
		"nul in path":         zipOf(t, file("a\x00b", "x")),
		"long name":           zipOf(t, file(strings.Repeat("n", 256), "x")),
		"long path":           zipOf(t, file(strings.Repeat("n/", 512)+"n", "x")),
		"file over directory": zipOf(t, file("a/b", "x"), file("a", "x")),
		"file as directory":   zipOf(t, file("a", "x"), file("a/b", "x")),
		"root as file":        zipOf(t, file(".", "x")),
		"device":              zipOf(t, entry{name: "null", mode: fs.ModeDevice | 0o666}),
		"pipe":                zipOf(t, entry{name: "pipe", mode: fs.ModeNamedPipe | 0o666}),
		"through a link":      zipOf(t, link("l", outside), file("l/evil", "x")),
		"link through a link": zipOf(t, link("l", outside), link("l/evil", "x")),
		"link over file":      zipOf(t, file("a", "x"), link("a", outside)),
		"link twice":          zipOf(t, link("a", outside), link("a", "x")),
		"empty link":          zipOf(t, link("a", "")),
		"long link":           zipOf(t, link("a", strings.Repeat("x", 1025))),
		"too many entries":    manyEntries(t, store.MaxEntries+1),
	} {
		if _, err := unpack(t, s, content); !errors.Is(err, store.ErrBadZip) {
			t.Errorf("%s: %v, want ErrBadZip", name, err)
		}
	}
	if names := listing(t, outside); len(names) != 0 {
		t.Errorf("written outside: %q", names)
	}
	boots := listing(t, filepath.Join(dir, "code"))
	if len(boots) != 1 {
		t.Fatalf("boots: %q", boots)
	}
	if names := listing(t, filepath.Join(dir, "code", boots[0])); len(names) != 0 {
		t.Errorf("left %q", names)
	}
}

func manyEntries(t *testing.T, n int) string {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := range n {
		if _, err := w.CreateHeader(&zip.FileHeader{Name: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// header edits both headers of every entry of a zip: the local ones and the directory's.
func header(content string, localAt, directoryAt int, v uint16) string {
	b := []byte(content)
	for sig, at := range map[string]int{"PK\x03\x04": localAt, "PK\x01\x02": directoryAt} {
		for i := 0; ; {
			n := bytes.Index(b[i:], []byte(sig))
			if n < 0 {
				break
			}
			i += n
			binary.LittleEndian.PutUint16(b[i+at:], v)
			i += len(sig)
		}
	}
	return string(b)
}

func encrypted(content string) string        { return header(content, 6, 8, 1) }
func method(content string, m uint16) string { return header(content, 8, 10, m) }

// The bound on the unzipped size holds for what the archive says and for what it has.
func TestUnpackBounds(t *testing.T) {
	s, _ := openDisk(t)
	content := zipOf(t, file("a", "x"), file("b", strings.Repeat("x", 3<<20)))
	if _, err := unpack(t, s, declare(content, lambda.MaxUnzipped/2+1)); !errors.Is(err, store.ErrUnzippedTooLarge) {
		t.Errorf("an archive that is too large: %v", err)
	}
	if _, err := unpack(t, s, declare(content, 1<<32-2)); !errors.Is(err, store.ErrUnzippedTooLarge) {
		t.Errorf("an archive that is much too large: %v", err)
	}
	// A bomb: its directory says one byte, and there are more.
	if _, err := unpack(t, s, declare(content, 1)); !errors.Is(err, store.ErrBadZip) {
		t.Errorf("a bomb: %v", err)
	}
}

// declare makes a zip's directory give a size for every entry.
func declare(content string, size uint32) string {
	b := []byte(content)
	for i := 0; ; {
		n := bytes.Index(b[i:], []byte("PK\x01\x02"))
		if n < 0 {
			return string(b)
		}
		i += n + 4
		binary.LittleEndian.PutUint32(b[i+20:], size)
	}
}

// Whatever is uploaded, unpacking ends with a whole directory or an archive's error, and
// writes nowhere else.
func FuzzUnpack(f *testing.F) {
	good := zipOf(f, file("a/b", "content"), entry{name: "l", content: "/etc", mode: fs.ModeSymlink | 0o777}, file("../x", "x"))
	f.Add([]byte(good))
	f.Add([]byte(good[:len(good)-3]))
	f.Add([]byte(encrypted(good)))
	f.Add([]byte(zipOf(f, file("a", "x"), file("a/b", "x"))))
	f.Add([]byte(zipOf(f, file("x", strings.Repeat("y", 3000)))))
	top := f.TempDir()
	s := open(f, store.Options{Dir: filepath.Join(top, "a", "b", "data")})
	f.Cleanup(func() { _ = s.Close() })
	f.Fuzz(func(t *testing.T, content []byte) {
		_, err := unpack(t, s, string(content))
		if err != nil && !errors.Is(err, store.ErrBadZip) && !errors.Is(err, store.ErrUnzippedTooLarge) {
			t.Errorf("unpack: %v", err)
		}
		for dir, want := range map[string]int{top: 1, filepath.Join(top, "a"): 1, filepath.Join(top, "a", "b"): 1} {
			if names := listing(t, dir); len(names) != want {
				t.Errorf("written outside: %s has %q", dir, names)
			}
		}
	})
}
