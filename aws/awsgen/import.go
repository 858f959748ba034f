package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/weir-run/weir/aws/awsgen/model"
)

// vendored are the models that weir keeps: of the services it serves, and of those whose
// operations it should at least know by name.
var vendored = []string{
	"apigatewayv2", "application-autoscaling", "cloudformation", "cloudwatch", "dynamodb", "dynamodbstreams",
	"events", "iam", "kinesis", "lambda", "logs", "scheduler", "service-quotas", "sns", "sqs", "stepfunctions",
	"sts", "xray",
}

// importModels copies the newest version of each model from a botocore wheel (pip download
// --no-deps botocore), without the documentation, and the licence.
func importModels(wheel, dir string) error {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return fmt.Errorf("open wheel: %w", err)
	}
	defer z.Close()
	found := regexp.MustCompile(`^botocore-([0-9.]+)-`).FindStringSubmatch(filepath.Base(wheel))
	if found == nil {
		return fmt.Errorf("%s is not named like a botocore wheel", wheel)
	}
	if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte(found[1]+"\n"), 0o644); err != nil {
		return fmt.Errorf("write version: %w", err)
	}
	for _, id := range vendored {
		newest := ""
		for _, f := range z.File {
			if ok, _ := path.Match("botocore/data/"+id+"/*/service-2.json.gz", f.Name); ok && f.Name > newest {
				newest = f.Name
			}
		}
		text, err := readPacked(&z.Reader, newest)
		if err != nil {
			return fmt.Errorf("read model %s: %w", id, err)
		}
		if text, err = model.Strip(text); err != nil {
			return fmt.Errorf("strip model %s: %w", id, err)
		}
		if err := writePacked(filepath.Join(dir, id+".json.gz"), text); err != nil {
			return err
		}
	}
	for _, name := range []string{"LICENSE.txt", "NOTICE"} {
		if err := copyLicence(&z.Reader, found[1], name, dir); err != nil {
			return err
		}
	}
	return nil
}

func copyLicence(z *zip.Reader, version, name, dir string) error {
	for _, folder := range []string{".dist-info/", ".dist-info/licenses/"} {
		text, err := readEntry(z, "botocore-"+version+folder+name)
		if err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return fmt.Errorf("write licence: %w", err)
		}
		return nil
	}
	return fmt.Errorf("the wheel has no %s", name)
}

func readEntry(z *zip.Reader, name string) ([]byte, error) {
	f, err := z.Open(name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(f)
	return text, errors.Join(err, f.Close())
}

func readPacked(z *zip.Reader, name string) ([]byte, error) {
	packed, err := readEntry(z, name)
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// writePacked compresses without a time or name, so that equal text gives an equal file.
func writePacked(file string, text []byte) error {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("pack %s: %w", file, err)
	}
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("pack %s: %w", file, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("pack %s: %w", file, err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// importVectors packs the protocol tests of a botocore source distribution (pip download
// --no-deps --no-binary :all: botocore) into one archive.
func importVectors(sdist, dir string) error {
	f, err := os.Open(sdist)
	if err != nil {
		return fmt.Errorf("open source distribution: %w", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("read source distribution: %w", err)
	}
	in := tar.NewReader(z)
	var packed bytes.Buffer
	out := tar.NewWriter(&packed)
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read source distribution: %w", err)
		}
		_, name, ok := strings.Cut(h.Name, "/tests/unit/protocols/")
		if !ok || !strings.HasSuffix(name, ".json") || strings.Contains(name, "legacy") || strings.Contains(name, "ec2") {
			continue
		}
		text, err := io.ReadAll(in)
		if err != nil {
			return fmt.Errorf("read source distribution: %w", err)
		}
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			return fmt.Errorf("pack vectors: %w", err)
		}
		if _, err := out.Write(text); err != nil {
			return fmt.Errorf("pack vectors: %w", err)
		}
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("pack vectors: %w", err)
	}
	return writePacked(filepath.Join(dir, "botocore-protocols.tar.gz"), packed.Bytes())
}
