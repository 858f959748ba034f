package environment

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" && os.Getenv("LAMBDA_TASK_ROOT") != "" {
		goFunction()
	}
	os.Exit(m.Run())
}
