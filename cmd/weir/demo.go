package main

import (
	"context"
	"errors"
)

func (m *Main) demo(context.Context, []string) error { return errors.New("not yet") }
