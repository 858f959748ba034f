//go:build amd64 || arm64

package sandbox

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// ownFiles are what differs between sandboxes in /etc.
var ownFiles = []string{"passwd", "group", "resolv.conf"}

// userName is the name of a sandbox's user, as on AWS.
const userName = "sbx_user1051"

// ownEtc returns a directory of the host with the ownFiles of a user, which it makes if it is
// not there. It must not be called twice at once.
func ownEtc(dir string, uid int, egress Egress) (string, error) {
	path := filepath.Join(dir, fmt.Sprintf("%d-%s", uid, egress))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	resolv := "# There is no network.\n"
	if egress != EgressNone {
		resolv = resolvConf()
	}
	files := map[string]string{
		"passwd":      fmt.Sprintf("root:x:0:0:root:/root:/sbin/nologin\n%s:x:%d:%d::/tmp:/sbin/nologin\n", userName, uid, uid),
		"group":       fmt.Sprintf("root:x:0:\n%s:x:%d:\n", userName, uid),
		"resolv.conf": resolv,
	}
	// A directory that is there is complete: it gets its name last.
	making := path + ".new"
	if err := os.RemoveAll(making); err != nil {
		return "", fmt.Errorf("make /etc: %w", err)
	}
	if err := os.MkdirAll(making, 0o755); err != nil {
		return "", fmt.Errorf("make /etc: %w", err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(making, name), []byte(text), 0o644); err != nil {
			return "", fmt.Errorf("make /etc: %w", err)
		}
	}
	if err := os.Rename(making, path); err != nil {
		return "", fmt.Errorf("make /etc: %w", err)
	}
	return path, nil
}

// resolvConf returns the host's name servers, less those that only the host itself reaches.
func resolvConf() string {
	for _, name := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		var kept []string
		servers := 0
		for lines := bufio.NewScanner(f); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
				continue
			}
			if fields[0] == "nameserver" {
				addr, err := netip.ParseAddr(fields[1])
				if err != nil || addr.IsLoopback() {
					continue
				}
				servers++
			}
			kept = append(kept, strings.Join(fields, " "))
		}
		f.Close()
		if servers > 0 {
			return strings.Join(kept, "\n") + "\n"
		}
	}
	return "# The host has no name server that a sandbox could reach.\n"
}
