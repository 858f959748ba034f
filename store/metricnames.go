package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
)

// A NamedMetric is a metric that was measured, and when.
type NamedMetric struct {
	Scope  lambda.Scope
	Metric metric.Metric // its dimensions sorted
	Last   metric.Instant
}

// Name records that metrics were measured.
func (m *Metrics) Name(ctx context.Context, names []NamedMetric) error {
	var b Batch
	for _, n := range names {
		value := binary.BigEndian.AppendUint32([]byte{metricFormat}, unixSeconds(n.Last))
		b.Set(nameKey(n.Scope, n.Metric), append(value, n.Metric.Text()...))
	}
	if err := m.commit(ctx, &b); err != nil {
		return fmt.Errorf("write the names of metrics: %w", err)
	}
	return nil
}

func nameKey(s lambda.Scope, x metric.Metric) []byte {
	k := metric.KeyOf(s, x, metric.AnyUnit)
	b := append(scopePrefix(metricNames, s), x.Namespace+"\x00"+x.Name+"\x00"...)
	return append(b, k[:15]...)
}

// Names calls f with the metrics of a scope, or of one namespace if it is not empty, that were
// measured since a moment: in the order of their namespaces and names, from behind the mark of
// an earlier one on, until f returns false. The mark of each is what it is continued by.
func (m *Metrics) Names(s lambda.Scope, namespace, after string, since metric.Instant, f func(mark string, x metric.Metric) bool) error {
	prefix := scopePrefix(metricNames, s)
	lo := prefix
	hi := append([]byte(nil), prefix...)
	hi[len(hi)-1]++
	if namespace != "" {
		lo = append(append([]byte(nil), prefix...), namespace+"\x00"...)
		hi = append(append([]byte(nil), prefix...), namespace+"\x01"...)
	}
	if after != "" {
		lo = []byte(max(string(lo), string(prefix)+after+"\x00"))
	}
	err := m.scan(lo, hi, func(key, value []byte) error {
		if len(value) < 5 || value[0] != metricFormat {
			return fmt.Errorf("the metric %q has an unknown format", key)
		}
		last := metric.Instant(binary.BigEndian.Uint32(value[1:])) * metric.Instant(time.Second)
		if last < since {
			return nil
		}
		x, ok := metric.ParseMetric(string(value[5:]))
		if !ok {
			return fmt.Errorf("the metric %q cannot be read", key)
		}
		if !f(string(key[len(prefix):]), x) {
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("list metrics: %w", err)
	}
	return nil
}

// A HistoryItem is what happened to an alarm, in the form its service gave it.
type HistoryItem struct {
	Scope lambda.Scope
	At    metric.Instant
	Text  []byte
}

// historyKept is how long the history of alarms is kept (CloudWatch: 30 days).
const historyKept = 30 * 24 * time.Hour

// AddHistory appends items to the history of alarms. Items with one time keep their order.
func (m *Metrics) AddHistory(ctx context.Context, items []HistoryItem) error {
	var b Batch
	for i, h := range items {
		key := binary.BigEndian.AppendUint64(scopePrefix(metricHistory, h.Scope), uint64(h.At))
		// Two writes may have one time; the number of the write keeps them apart.
		key = binary.BigEndian.AppendUint32(key, m.number.Add(1))
		key = binary.BigEndian.AppendUint32(key, uint32(i))
		b.Set(key, append([]byte{metricFormat}, h.Text...))
	}
	if err := m.commit(ctx, &b); err != nil {
		return fmt.Errorf("write the history of alarms: %w", err)
	}
	return nil
}

// History calls f with the history of a scope's alarms from lo to hi, oldest first, until f
// returns false. f must not keep the text.
func (m *Metrics) History(s lambda.Scope, lo, hi metric.Instant, f func(at metric.Instant, text []byte) bool) error {
	prefix := scopePrefix(metricHistory, s)
	first := binary.BigEndian.AppendUint64(append([]byte(nil), prefix...), uint64(max(lo, 0)))
	last := binary.BigEndian.AppendUint64(append([]byte(nil), prefix...), uint64(max(hi, 0)))
	err := m.scan(first, last, func(key, value []byte) error {
		if len(key) != len(prefix)+16 || len(value) < 1 || value[0] != metricFormat {
			return fmt.Errorf("%q is no item of a history", key)
		}
		if !f(metric.Instant(binary.BigEndian.Uint64(key[len(prefix):])), value[1:]) {
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("read the history of alarms: %w", err)
	}
	return nil
}

func (m *Metrics) expireHistory(now metric.Instant) error {
	for lo := []byte(metricHistory); ; {
		var prefix []byte
		err := m.slot.Scan(lo, []byte("t/h0"), 1, func(key, _ []byte, _ Version) bool {
			parts := strings.SplitN(string(key), "/", 5)
			if len(parts) == 5 {
				prefix = scopePrefix(metricHistory, lambda.Scope{Account: parts[2], Region: parts[3]})
			}
			return false
		})
		if err != nil || prefix == nil {
			return err
		}
		end := append([]byte(nil), prefix...)
		cut := binary.BigEndian.AppendUint64(append([]byte(nil), prefix...), uint64(max(now-metric.Instant(historyKept), 0)))
		if err := m.slot.DropBefore(prefix, cut); err != nil {
			return err
		}
		end[len(end)-1]++
		lo = end
	}
}
