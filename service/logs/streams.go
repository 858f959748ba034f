package logs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	api "github.com/weir-run/weir/aws/logs"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/store/logs"
)

// storeError turns what the store says into AWS's error.
func storeError(err error) error {
	switch {
	case errors.Is(err, logs.ErrNoStream):
		return errNoStream
	case errors.Is(err, logs.ErrExists):
		return errStreamExists
	case errors.Is(err, logs.ErrGone):
		return errNoGroup
	}
	return err
}

// CreateLogStream makes a stream.
func (s *Service) CreateLogStream(c *wire.Call, in *api.CreateLogStreamRequest) error {
	id, _, err := s.group(c, in.LogGroupName, wire.Opt[string]{})
	if err != nil {
		return err
	}
	return storeError(s.logs.CreateStream(id, in.LogStreamName.V))
}

// DeleteLogStream removes a stream and its events.
func (s *Service) DeleteLogStream(c *wire.Call, in *api.DeleteLogStreamRequest) error {
	id, _, err := s.group(c, in.LogGroupName, wire.Opt[string]{})
	if err != nil {
		return err
	}
	return storeError(s.logs.DeleteStream(id, in.LogStreamName.V))
}

const byTime = "LastEventTime"

// DescribeLogStreams lists streams by name, or by the time of their last event.
func (s *Service) DescribeLogStreams(c *wire.Call, in *api.DescribeLogStreamsRequest) (*api.DescribeLogStreamsResponse, error) {
	id, _, err := s.group(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	order := in.OrderBy.Or("LogStreamName")
	if order == byTime && in.LogStreamNamePrefix.OK {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	list, err := s.logs.Streams(id)
	if err != nil {
		return nil, storeError(err)
	}
	list = slices.DeleteFunc(list, func(x logs.Stream) bool { return !strings.HasPrefix(x.Name, in.LogStreamNamePrefix.V) })
	after, err := decodeToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	list, next := pageOfStreams(list, order, in.Descending.V, after, int(in.Limit.Or(maxPage)))
	out := &api.DescribeLogStreamsResponse{LogStreams: []api.LogStream{}, NextToken: encodeToken(next)}
	for _, x := range list {
		d := api.LogStream{
			LogStreamName: wire.Some(x.Name),
			CreationTime:  wire.Some(x.Created),
			Arn:           wire.Some(id.Scope.ARN("logs", "log-group:"+id.Name+":log-stream:"+x.Name)),
			StoredBytes:   wire.Some(int64(0)), // AWS: deprecated, always zero
		}
		if x.HasEvents {
			d.FirstEventTimestamp, d.LastEventTimestamp, d.LastIngestionTime = wire.Some(x.First), wire.Some(x.Last), wire.Some(x.Ingested)
			d.UploadSequenceToken = wire.Some(sequenceToken)
		}
		out.LogStreams = append(out.LogStreams, d)
	}
	return out, nil
}

// pageOfStreams sorts streams and returns those behind a place, and the place of the last one if
// there are more.
func pageOfStreams(list []logs.Stream, order string, descending bool, after string, limit int) ([]logs.Stream, string) {
	place := func(x logs.Stream) string {
		if order == byTime {
			return fmt.Sprintf("%020d %s", max(x.Last, 0), x.Name)
		}
		return x.Name
	}
	slices.SortFunc(list, func(a, b logs.Stream) int {
		if descending {
			a, b = b, a
		}
		return cmp.Compare(place(a), place(b))
	})
	for len(list) > 0 && after != "" && (place(list[0]) <= after) != (descending && place(list[0]) != after) {
		list = list[1:]
	}
	if len(list) <= limit {
		return list, ""
	}
	return list[:limit], place(list[limit-1])
}
