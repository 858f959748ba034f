package environment

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestInvokeEchoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := fakeHost(t, echo)
		e := startFake(t, h, 3)
		if i := e.waitReady(); i.Err != nil {
			t.Fatal(i.Err)
		}
		s := <-d.started
		for range 3 {
			o, r := e.call(`{"a":1}`)
			if string(o.Payload) != `{"a":1}` || r.Status != Success {
				t.Fatalf("%+v %+v", o, r)
			}
		}
		time.Sleep(time.Second)
		e.call(`{}`)
		if got := s.done(); got != "settle freeze thaw" {
			t.Error(got)
		}
		t.Log(e.logs.text())
		e.Close()
	})
}
