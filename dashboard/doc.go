// Package dashboard shows a person what the server does, as pages, as JSON and as metrics.
//
// The pages are made on the server and are complete without a script. With one they follow
// what happens: it fetches the page again each second, brings what is marked data-live up to
// date in place, and draws the charts. Nothing is loaded from elsewhere.
//
// Who may look is decided here, since these paths are no AWS service's. With signatures
// unchecked the listener is on loopback, and so must be the name that a browser knows it by:
// else a foreign site could point its own name here. With signatures checked, a page needs a
// session, which an access key and its secret begin; programs give the two with each request,
// as HTTP basic authentication. What changes something must come from our own pages.
package dashboard
