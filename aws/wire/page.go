package wire

import "encoding/base64"

// A Page is the part of a list in the order of names that a request asks for. Its token is the
// name of its last item, so a list may change between two pages.
type Page struct {
	After string // the last item of the page before; empty: this is the first page
	left  int
	more  bool
}

// NewPage returns a page of at most size items, and whether the token is one of a Page.
func NewPage(token Opt[string], size int) (*Page, bool) {
	name, err := base64.RawURLEncoding.DecodeString(token.V)
	return &Page{After: string(name), left: size}, err == nil
}

// Take reports whether another item fits on the page; name is what it sorts by.
func (p *Page) Take(name string) bool {
	if p.left == 0 {
		p.more = true
		return false
	}
	p.left--
	p.After = name
	return true
}

// Token asks for the next page; there is none if the list has ended.
func (p *Page) Token() Opt[string] {
	if !p.more {
		return Opt[string]{}
	}
	return Some(base64.RawURLEncoding.EncodeToString([]byte(p.After)))
}
