package lambda

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"sync"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// An upload is a deployment package in the store, held until the catalogue refers to it.
type upload struct {
	code lambda.Code
	blob *store.Blob
	tree *store.Tree
}

func (u *upload) release() {
	u.tree.Release()
	u.blob.Release()
}

// codeSize adds up the deployment packages of all versions of an account and region.
func codeSize(r store.Reader, scope lambda.Scope) int64 {
	var size int64
	store.Versions.Scan(r, scope, "", func(_ string, v *lambda.Version) bool {
		size += v.Code.Size
		return true
	})
	return size
}

// storage knows how many bytes of code an account and region has at most: what is removed does
// not count until somebody needs the room. So not every update adds up all versions.
type storage struct {
	mu struct {
		sync.Mutex
		most map[lambda.Scope]int64
	}
}

// add refuses to store more bytes of code than an account and region may have.
func (s *storage) add(r store.Reader, scope lambda.Scope, more int64) error {
	if more <= 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	most, known := s.mu.most[scope]
	if !known || most+more > lambda.MaxTotalCode {
		most = codeSize(r, scope)
	}
	if most+more > lambda.MaxTotalCode {
		return userError("CodeStorageExceededException", "Code storage limit exceeded.")
	}
	if s.mu.most == nil {
		s.mu.most = make(map[lambda.Scope]int64)
	}
	s.mu.most[scope] = most + more
	return nil
}

// upload stores a deployment package and unpacks it, so that a bad one is refused at once.
func (s *Service) upload(zip []byte) (*upload, error) {
	switch {
	case len(zip) == 0:
		return nil, invalid("Uploaded file must be a non-empty zip")
	case len(zip) > lambda.MaxZip:
		return nil, userError("RequestEntityTooLargeException", "Zipped size must be smaller than %d bytes", lambda.MaxZip)
	}
	blob, err := s.opt.Store.Blobs().Put(bytes.NewReader(zip))
	if err != nil {
		return nil, storeError(err)
	}
	tree, err := s.opt.Store.Blobs().Unpack(context.Background(), blob.Digest)
	if err != nil {
		blob.Release()
		return nil, storeError(err)
	}
	return &upload{lambda.Code{SHA256: blob.Digest.Base64(), Size: blob.Size}, blob, tree}, nil
}
