package store

import (
	"archive/zip"
	"errors"
	"testing"

	"github.com/weir-run/weir/lambda"
)

// An archive may be as large as the bound, and have as many entries; one more of either is
// refused before anything is written. Sizes that would overflow their sum are too large.
func TestPlanBounds(t *testing.T) {
	archive := func(n int, sizes ...uint64) *zip.Reader {
		r := new(zip.Reader)
		for i := range n {
			f := &zip.File{FileHeader: zip.FileHeader{Name: "f"}}
			f.SetMode(0o644)
			if i < len(sizes) {
				f.UncompressedSize64 = sizes[i]
			}
			r.File = append(r.File, f)
		}
		return r
	}
	for _, c := range []struct {
		archive *zip.Reader
		want    error
	}{
		{archive(0), nil},
		{archive(2, lambda.MaxUnzipped-5, 5), nil},
		{archive(2, lambda.MaxUnzipped-5, 6), ErrUnzippedTooLarge},
		{archive(2, 1<<63, 1<<63), ErrUnzippedTooLarge},
		{archive(2, ^uint64(0), 1), ErrUnzippedTooLarge},
		{archive(MaxEntries), nil},
		{archive(MaxEntries + 1), ErrBadZip},
	} {
		p, err := planArchive(c.archive)
		if !errors.Is(err, c.want) || c.want == nil && len(p.files) != len(c.archive.File) {
			t.Errorf("%d entries: %v, want %v", len(c.archive.File), err, c.want)
		}
	}
}
