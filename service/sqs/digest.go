package sqs

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/weir-run/weir/store"
)

// md5Of returns an MD5 as SQS writes it.
func md5Of(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// md5OfAttributes returns the MD5 of attributes (AWS: calculating the MD5 message digest for
// message attributes): in the order of their names, each name, type and value behind its
// length in four bytes, the value also behind 1 if it is text and 2 if it is bytes. Without
// attributes it is empty.
func md5OfAttributes(attributes []store.MessageAttribute) string {
	if len(attributes) == 0 {
		return ""
	}
	sorted := slices.SortedFunc(slices.Values(attributes), func(a, b store.MessageAttribute) int { return strings.Compare(a.Name, b.Name) })
	var b []byte
	put := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, a := range sorted {
		put(a.Name)
		put(a.Type)
		if isBinary(a.Type) {
			b = append(b, 2)
		} else {
			b = append(b, 1)
		}
		put(a.Value)
	}
	return md5Of(string(b))
}

// isBinary tells whether an attribute's type is Binary, with or without a custom label.
func isBinary(dataType string) bool { return baseType(dataType) == "Binary" }

func baseType(dataType string) string {
	base, _, _ := strings.Cut(dataType, ".")
	return base
}
