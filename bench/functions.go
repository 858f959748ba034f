package main

import (
	_ "embed"
	"os"
	"path/filepath"
)

// memoryMB buys a whole processor, so that no quota is measured.
const memoryMB = 1769

//go:embed testdata/app.py
var pythonApp []byte

//go:embed testdata/app.mjs
var nodeApp []byte

//go:embed testdata/stamp.py
var stampApp []byte

//go:embed testdata/echo.py
var pythonEcho string

// A function echoes its event, in one language.
type function struct {
	name    string
	title   string
	runtime string
	file    string // in the deployment package
	content []byte
}

var (
	pythonFunction = function{"python", "Python", "python3.11", "app.py", pythonApp}
	stampFunction  = function{"stamp", "Python", "python3.11", "app.py", stampApp}
	nodeFunction   = function{"node", "Node", "nodejs20.x", "app.mjs", nodeApp}
)

// goFunction builds the function on AWS's library for Go.
func (b *bench) goFunction() (function, error) {
	f := function{name: "go", title: "aws-lambda-go", runtime: "provided.al2023", file: "bootstrap"}
	path, err := b.build("bootstrap", "./bench/testdata/function")
	if err != nil {
		return f, err
	}
	f.content, err = os.ReadFile(path)
	return f, err
}

// functions returns one of each language.
func (b *bench) functions() ([]function, error) {
	g, err := b.goFunction()
	return []function{pythonFunction, nodeFunction, g}, err
}

// unpack writes a function's package into a directory of its own.
func (b *bench) unpack(f function) (dir string, err error) {
	dir, err = os.MkdirTemp(b.dir, f.name+"-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, f.file), f.content, 0o755)
}
