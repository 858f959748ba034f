// Package catalog knows the operations of the AWS services that weir does not serve.
package catalog

import "github.com/weir-run/weir/aws/wire"

// Register adds the services to a Mux: it answers a request for one of their operations
// with an error that names it.
func Register(m *wire.Mux) {
	for i := range services {
		m.Handle(&services[i], nil, nil)
	}
}
