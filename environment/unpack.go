package environment

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed runtimes
var runtimes embed.FS

// unpack writes the bootstraps into a directory below dir that is named by their content, so
// that two versions of weir can share dir, and returns it.
func unpack(dir string) (string, error) {
	files, err := fs.Sub(runtimes, "runtimes")
	if err != nil {
		return "", fmt.Errorf("environment: reading the bootstraps: %w", err)
	}
	hash, err := hashFiles(files)
	if err != nil {
		return "", fmt.Errorf("environment: reading the bootstraps: %w", err)
	}
	target, err := filepath.Abs(filepath.Join(dir, "runtime-"+hash))
	if err != nil {
		return "", fmt.Errorf("environment: unpacking the bootstraps: %w", err)
	}
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("environment: unpacking the bootstraps: %w", err)
	}
	temporary, err := os.MkdirTemp(dir, "runtime-*.tmp")
	if err != nil {
		return "", fmt.Errorf("environment: unpacking the bootstraps: %w", err)
	}
	defer os.RemoveAll(temporary)
	if err := os.CopyFS(temporary, files); err != nil {
		return "", fmt.Errorf("environment: unpacking the bootstraps: %w", err)
	}
	// Functions run as another user.
	if err := os.Chmod(temporary, 0o755); err != nil {
		return "", fmt.Errorf("environment: unpacking the bootstraps: %w", err)
	}
	err = os.Rename(temporary, target)
	if _, statErr := os.Stat(target); err != nil && statErr != nil {
		return "", fmt.Errorf("environment: unpacking the bootstraps: %w", err)
	}
	return target, nil // renamed, or another process was faster
}

// hashFiles returns 16 hexadecimal digits that stand for the files' names and content.
func hashFiles(files fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %d\n%s", path, len(content), content)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}
