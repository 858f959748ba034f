package store_test

import (
	"archive/zip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// The fixtures are data directories as this version of the layout writes them, one closed
// in good order and one of a killed process. They are kept for ever: every later version
// must open them. A new layout gets new ones.
var writeFixtures = flag.Bool("store.fixtures", false, "write the fixtures of the current format anew")

func TestFixtures(t *testing.T) {
	if *writeFixtures {
		makeFixtures(t)
	}
	fixtures, err := filepath.Glob("testdata/format-*.zip")
	if err != nil || len(fixtures) < 2 {
		t.Fatalf("fixtures: %q, %v", fixtures, err)
	}
	for _, name := range fixtures {
		t.Run(filepath.Base(name), func(t *testing.T) {
			dir := t.TempDir()
			archive, err := zip.OpenReader(name)
			if err != nil {
				t.Fatal(err)
			}
			defer archive.Close()
			if err := os.CopyFS(dir, archive); err != nil {
				t.Fatal(err)
			}
			checkFixture(t, dir)
			checkFixture(t, dir) // what this version has made of it
		})
	}
}

func makeFixtures(t *testing.T) {
	dir := t.TempDir()
	s := open(t, store.Options{Dir: dir})
	var f lambda.Function
	var v lambda.Version
	var a lambda.Alias
	var r lambda.Reserved
	var p lambda.Provisioned
	for _, x := range []any{&f, &v, &a, &r, &p} {
		fill(t, reflect.ValueOf(x).Elem())
	}
	name := store.QualifiedName("f", "12")
	update(t, s, func(tx *store.Tx) { // commit 1
		store.Functions.Put(tx, scope, "f", &f)
		store.Versions.Put(tx, scope, name, &v)
		store.Aliases.Put(tx, scope, store.QualifiedName("f", "prod"), &a)
		store.Reserved.Put(tx, scope, "f", &r)
		store.Provisioned.Put(tx, scope, name, &p)
	})
	put(t, s.Blobs(), "code").Release()
	for i := range 4 { // commits 2 to 5
		if _, err := commitThree(s, fmt.Sprint(i), 10); err != nil {
			t.Fatal(err)
		}
	}
	var b store.Batch // commit 6
	b.Delete([]byte("x/2"))
	b.DeleteRange([]byte("y/"), []byte("y/2"))
	if _, err := s.Slot().Commit(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	pack(t, dir, "testdata/format-1-killed.zip")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	pack(t, dir, "testdata/format-1-closed.zip")
}

func pack(t *testing.T, dir, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func checkFixture(t *testing.T, dir string) {
	s := open(t, store.Options{Dir: dir})
	want := map[string]store.Version{
		"x/0": 2, "x/1": 3, "x/3": 5,
		"y/2": 4, "y/3": 5,
		"z/0": 2, "z/1": 3, "z/2": 4, "z/3": 5,
	}
	scanAll(t, s.Slot(), "x", "z0", func(key string, v store.Version) {
		if want[key] != v {
			t.Errorf("%s is at version %d, want %d", key, v, want[key])
		}
		delete(want, key)
		value, _, err := s.Slot().Get([]byte(key))
		if err != nil || string(value) != strings.Repeat(key[2:], 10) {
			t.Errorf("%s is %q, %v", key, value, err)
		}
	})
	if len(want) > 0 {
		t.Errorf("lost: %v", want)
	}
	checkRecords(t, s)
	blob := put(t, s.Blobs(), "code") // must be the one that is there
	blob.Release()
	if names := listing(t, filepath.Join(dir, "blobs")); len(names) != 1 || names[0] != blob.Digest.String() {
		t.Errorf("blobs: %q", names)
	}
	v, err := commitThree(s, "later", 1)
	if err != nil || v <= 6 {
		t.Errorf("the next commit is %d, %v", v, err)
	}
	var b store.Batch
	for _, table := range []string{"x/", "y/", "z/"} {
		b.Delete([]byte(table + "later"))
	}
	if _, err := s.Slot().Commit(context.Background(), &b); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// checkRecords checks that each record of the fixture is understood to the last field: it
// encodes to the bytes it was decoded from. A field that lost its name would be missing.
func checkRecords(t *testing.T, s *store.Store) {
	t.Helper()
	snap := s.Catalog().Snapshot()
	name := store.QualifiedName("f", "12")
	f, _ := store.Functions.Get(snap, scope, "f")
	v, _ := store.Versions.Get(snap, scope, name)
	a, _ := store.Aliases.Get(snap, scope, store.QualifiedName("f", "prod"))
	r, _ := store.Reserved.Get(snap, scope, "f")
	p, _ := store.Provisioned.Get(snap, scope, name)
	want := map[string]any{
		"function/f": f, "version/f\x000000000012": v, "alias/f\x00prod": a,
		"reserved/f": r, "provisioned/f\x000000000012": p,
	}
	scanAll(t, s.Slot(), "c/", "c0", func(key string, _ store.Version) {
		stored, _, err := s.Slot().Get([]byte(key))
		if err != nil {
			t.Error(err)
		}
		short := strings.TrimPrefix(key, "c/000000000000/us-east-1/")
		text, err := json.Marshal(want[short])
		if err != nil || string(stored) != "\x01"+string(text) {
			t.Errorf("record %q is %q, understood as %q, %v", key, stored, text, err)
		}
		delete(want, short)
	})
	if len(want) > 0 {
		t.Errorf("lost: %v", want)
	}
}
