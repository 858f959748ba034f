package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
)

// TestImportIsReproducible vendors the models of a small wheel twice.
func TestImportIsReproducible(t *testing.T) {
	wheel := filepath.Join(t.TempDir(), "botocore-9.8.7-py3-none-any.whl")
	writeWheel(t, wheel)
	var copies [2]map[string][]byte
	for i := range copies {
		dir := t.TempDir()
		if err := importModels(wheel, dir); err != nil {
			t.Fatal(err)
		}
		copies[i] = map[string][]byte{}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if copies[i][f.Name()], err = os.ReadFile(filepath.Join(dir, f.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(copies[0]) != len(vendored)+3 || string(copies[0]["VERSION"]) != "9.8.7\n" {
		t.Errorf("%d files, version %q", len(copies[0]), copies[0]["VERSION"])
	}
	for name, text := range copies[0] {
		if !bytes.Equal(text, copies[1][name]) {
			t.Errorf("%s differs", name)
		}
	}
	z, err := gzip.NewReader(bytes.NewReader(copies[0]["lambda.json.gz"]))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(z); err != nil || text.String() != `{"metadata":{"apiVersion":"2015"}}` {
		t.Errorf("%v: %s is not the newest model without its documentation", err, text.String())
	}
}

func writeWheel(t *testing.T, path string) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	write := func(name, text string) {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range vendored {
		for _, year := range []string{"2014", "2015"} {
			var packed bytes.Buffer
			g := gzip.NewWriter(&packed)
			if _, err := g.Write([]byte(`{"documentation":"x","metadata":{"apiVersion":"` + year + `"}}`)); err != nil {
				t.Fatal(err)
			}
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
			write("botocore/data/"+id+"/"+year+"/service-2.json.gz", packed.String())
		}
	}
	write("botocore-9.8.7.dist-info/LICENSE.txt", "licence")
	write("botocore-9.8.7.dist-info/licenses/NOTICE", "notice")
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
