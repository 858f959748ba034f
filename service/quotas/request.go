package quotas

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	api "github.com/weir-run/weir/aws/servicequotas"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

// Bounds of requests.
const (
	maxConcurrency = 1_000_000 // far more than one machine runs
	maxRequests    = 1000      // of an account and region that are remembered
)

// A request is one to raise a quota. All that are stored were granted.
type request struct {
	ID      string
	Quota   string // code
	Desired float64
	Created time.Time
}

// requestKind is named so that the newest request comes first.
var requestKind = store.Kind[request]{Name: "quotarequest"}

func (r *request) name() string {
	return fmt.Sprintf("%019d %s", math.MaxInt64-r.Created.UnixNano(), r.ID)
}

// RequestServiceQuotaIncrease raises a quota: at once, where on AWS people decide.
func (s *Service) RequestServiceQuotaIncrease(c *wire.Call, in *api.RequestServiceQuotaIncreaseRequest) (*api.RequestServiceQuotaIncreaseResponse, error) {
	if err := supported(c, in, "ContextId"); err != nil {
		return nil, err
	}
	q, err := find(in.ServiceCode.V, in.QuotaCode.V)
	if err != nil {
		return nil, err
	}
	want := in.DesiredValue.V
	switch {
	case !q.adjustable:
		return nil, illegal("The quota %s is not adjustable: weir keeps it for every account.", q.code)
	case want != math.Trunc(want) || want > maxConcurrency:
		return nil, illegal("The desired value must be a whole number of at most %d.", maxConcurrency)
	}
	r := &request{ID: strings.ReplaceAll(uuid.NewString(), "-", ""), Quota: q.code, Desired: want, Created: time.Now().UTC()}
	err = s.update(func(tx *store.Tx) error {
		if now := q.value(s, tx, c.Scope); want <= now {
			return illegal("You must provide a quota value greater than the current quota value, which is %v.", now)
		}
		n := 0
		requestKind.Scan(tx, c.Scope, "", func(string, *request) bool { n++; return true })
		if n >= maxRequests {
			return lambda.Errorf("QuotaExceededException", "You have exceeded your service quota: weir remembers %d requests.", maxRequests)
		}
		store.GrantConcurrency(tx, c.Scope, int(want))
		requestKind.Put(tx, c.Scope, r.name(), r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.opt.Logger.Info("a quota was raised", "scope", c.Scope.String(), "quota", q.name, "value", int(want))
	a := r.answer(c.Scope)
	return &api.RequestServiceQuotaIncreaseResponse{RequestedQuota: &a}, nil
}

const granted = "APPROVED"

func (r *request) answer(s lambda.Scope) api.RequestedServiceQuotaChange {
	a := api.RequestedServiceQuotaChange{
		Id: wire.Some(r.ID), ServiceCode: wire.Some(serviceCode), ServiceName: wire.Some(serviceName),
		QuotaCode: wire.Some(r.Quota), DesiredValue: wire.Some(r.Desired), Status: wire.Some(granted),
		Created: wire.Some(r.Created), LastUpdated: wire.Some(r.Created), GlobalQuota: wire.Some(false),
		Requester: wire.Some(`{"accountId":"` + s.Account + `"}`), QuotaRequestedAtLevel: wire.Some("ACCOUNT"),
	}
	if q, err := find(serviceCode, r.Quota); err == nil {
		a.QuotaName, a.QuotaArn, a.Unit = wire.Some(q.name), wire.Some(q.arn(s)), wire.Some(q.unit)
	}
	return a
}

// GetRequestedServiceQuotaChange answers a request.
func (s *Service) GetRequestedServiceQuotaChange(c *wire.Call, in *api.GetRequestedServiceQuotaChangeRequest) (*api.GetRequestedServiceQuotaChangeResponse, error) {
	var found *request
	requestKind.Scan(s.snapshot(), c.Scope, "", func(_ string, r *request) bool {
		if r.ID == in.RequestId.V {
			found = r
		}
		return found == nil
	})
	if found == nil {
		return nil, notFound("The specified resource does not exist.")
	}
	a := found.answer(c.Scope)
	return &api.GetRequestedServiceQuotaChangeResponse{RequestedQuota: &a}, nil
}

// ListRequestedServiceQuotaChangeHistory lists the requests of an account, the newest first.
func (s *Service) ListRequestedServiceQuotaChangeHistory(c *wire.Call, in *api.ListRequestedServiceQuotaChangeHistoryRequest) (*api.ListRequestedServiceQuotaChangeHistoryResponse, error) {
	if in.ServiceCode.OK {
		if err := checkService(in.ServiceCode.V); err != nil {
			return nil, err
		}
	}
	list, next, err := s.history(c, in.NextToken, in.MaxResults, "", in.Status, in.QuotaRequestedAtLevel)
	return &api.ListRequestedServiceQuotaChangeHistoryResponse{RequestedQuotas: list, NextToken: next}, err
}

// ListRequestedServiceQuotaChangeHistoryByQuota lists the requests for one quota.
func (s *Service) ListRequestedServiceQuotaChangeHistoryByQuota(c *wire.Call, in *api.ListRequestedServiceQuotaChangeHistoryByQuotaRequest) (*api.ListRequestedServiceQuotaChangeHistoryByQuotaResponse, error) {
	q, err := find(in.ServiceCode.V, in.QuotaCode.V)
	if err != nil {
		return nil, err
	}
	list, next, err := s.history(c, in.NextToken, in.MaxResults, q.code, in.Status, in.QuotaRequestedAtLevel)
	return &api.ListRequestedServiceQuotaChangeHistoryByQuotaResponse{RequestedQuotas: list, NextToken: next}, err
}

func (s *Service) history(c *wire.Call, token wire.Opt[string], items wire.Opt[int32], code string, status, level wire.Opt[string]) ([]api.RequestedServiceQuotaChange, wire.Opt[string], error) {
	list := []api.RequestedServiceQuotaChange{}
	p, err := newPage(token, items)
	if err != nil || status.OK && status.V != granted || level.V == "RESOURCE" {
		return list, wire.Opt[string]{}, err
	}
	requestKind.Scan(s.snapshot(), c.Scope, p.after, func(name string, r *request) bool {
		if code != "" && r.Quota != code {
			return true
		}
		on, more := p.take(name)
		if on {
			list = append(list, r.answer(c.Scope))
		}
		return more
	})
	return list, p.token(), nil
}
