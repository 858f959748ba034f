//go:build amd64 || arm64

package sandbox

import (
	"encoding/binary"
	"fmt"
	"os"
)

// An order tells a first process what to run.
type order struct {
	command []string
	env     []string
	dir     string
	pipe    *os.File // of a Preboot, or nil
}

// Where a sandbox shows the directories of its Spec.
const (
	taskDir    = "/var/task" // also where the command works
	runtimeDir = "/var/runtime"
	langDir    = "/var/lang"
)

// maxAssignment bounds the variables of a prebooted sandbox, in bytes: what a pipe holds
// without anybody reading.
const maxAssignment = 64 << 10

// assignment returns the variables as a prebooted process reads them.
func assignment(env []string) []byte {
	text := make([]byte, 0, assignmentSize(env))
	for _, kv := range env {
		text = append(append(text, kv...), 0)
	}
	return text
}

func assignmentSize(env []string) int {
	n := len(env)
	for _, kv := range env {
		n += len(kv)
	}
	return n
}

// send sends the order to the first process.
func (o *order) send(control *os.File) error {
	var files []*os.File
	if o.pipe != nil {
		files = []*os.File{o.pipe}
	}
	if err := sendPacket(control, o.encode(), files); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// encode returns the packet of an order: see orderHeader.
func (o *order) encode() []byte {
	words := orderHeaderWords + len(o.command) + 1 + len(o.env) + 1
	size := words*8 + len(o.dir) + 1
	for _, s := range o.command {
		size += len(s) + 1
	}
	for _, s := range o.env {
		size += len(s) + 1
	}
	packet := make([]byte, words*8, size)
	put := binary.NativeEndian
	word := orderHeaderWords
	list := func(strings []string) {
		for _, s := range strings {
			put.PutUint64(packet[word*8:], uint64(len(packet)))
			packet = append(append(packet, s...), 0)
			word++
		}
		word++ // the zero
	}
	list(o.command)
	list(o.env)
	put.PutUint32(packet[0:], orderRun)
	put.PutUint32(packet[4:], uint32(len(o.command)))
	put.PutUint32(packet[8:], uint32(len(o.env)))
	put.PutUint32(packet[12:], uint32(len(packet)))
	return append(append(packet, o.dir...), 0)
}

// sendName tells the name of what a sandbox has been assigned to.
func sendName(control *os.File, name string) error {
	data := binary.NativeEndian.AppendUint32(nil, orderName)
	if err := sendPacket(control, append(data, processName(name)...), nil); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// processName is what the process list of the host calls a first process, with a NUL.
func processName(name string) []byte {
	title := "weir:" + name
	return append([]byte(title[:min(len(title), 15)]), 0)
}

// sendOrder sends an order that is only its kind, and perhaps a file.
func sendOrder(control *os.File, kind uint32, file *os.File) error {
	var files []*os.File
	if file != nil {
		files = []*os.File{file}
	}
	if err := sendPacket(control, binary.NativeEndian.AppendUint32(nil, kind), files); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}
