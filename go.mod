module github.com/weir-run/weir

go 1.26
