// Awsgen writes the Go packages of AWS services from the vendored botocore models.
//
//	awsgen [-dir aws]                         generate the packages below dir
//	awsgen [-dir aws] -wheel botocore-….whl   vendor the models of another botocore first
//	awsgen [-vectors dir] -sdist botocore-….tar.gz   vendor its protocol tests
//
// Which services get a package, and which operations it serves, is written in
// dir/overlay/<service>.json. The operations of all other models go into one catalogue,
// so that a request for them can be answered by name.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "awsgen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("awsgen", flag.ContinueOnError)
	dir := flags.String("dir", "aws", "the `directory` of models, overlay and packages")
	wheel := flags.String("wheel", "", "vendor the models of this botocore wheel")
	sdist := flags.String("sdist", "", "vendor the protocol tests of this botocore source distribution")
	vectors := flags.String("vectors", "test/conformance/testdata", "the `directory` for protocol tests")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *sdist != "" {
		return importVectors(*sdist, *vectors)
	}
	if *wheel != "" {
		if err := importModels(*wheel, filepath.Join(*dir, "models")); err != nil {
			return err
		}
	}
	files, err := generate(*dir)
	if err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(*dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write package: %w", err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("write package: %w", err)
		}
	}
	return nil
}
