package quotas

import (
	api "github.com/weir-run/weir/aws/servicequotas"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

const (
	serviceCode = "lambda"
	serviceName = "AWS Lambda"

	concurrencyCode = "L-B99A9384"
	storageCode     = "L-2ACBD22F"
)

// A quota is one that weir keeps. The list is in the order of the codes.
type quota struct {
	code, name, unit string
	adjustable       bool
	value            func(s *Service, r store.Reader, scope lambda.Scope) float64
	byDefault        func(s *Service) float64
	usage            *api.MetricInfo
}

var all = []quota{
	{
		code: storageCode, name: "Function and layer storage", unit: "Gigabytes",
		value:     func(*Service, store.Reader, lambda.Scope) float64 { return lambda.MaxTotalCode >> 30 },
		byDefault: func(*Service) float64 { return lambda.MaxTotalCode >> 30 },
	},
	{
		code: concurrencyCode, name: "Concurrent executions", unit: "None", adjustable: true,
		value: func(s *Service, r store.Reader, scope lambda.Scope) float64 {
			return float64(store.ConcurrencyLimit(r, scope, s.opt.Concurrency))
		},
		byDefault: func(s *Service) float64 { return float64(s.opt.Concurrency) },
		usage: &api.MetricInfo{
			MetricNamespace: wire.Some("AWS/Lambda"), MetricName: wire.Some("ConcurrentExecutions"),
			MetricDimensions: map[string]string{}, MetricStatisticRecommendation: wire.Some("Maximum"),
		},
	},
}

func checkService(code string) error {
	if code != serviceCode {
		return notFound("The request failed because the specified service does not exist. weir has the quotas of the service %s.", serviceCode)
	}
	return nil
}

func find(service, code string) (*quota, error) {
	if err := checkService(service); err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].code == code {
			return &all[i], nil
		}
	}
	return nil, notFound("The request failed because the specified quota does not exist.")
}

func (q *quota) arn(s lambda.Scope) string {
	return s.ARN("servicequotas", serviceCode+"/"+q.code)
}

func (q *quota) answer(s lambda.Scope, value float64) api.ServiceQuota {
	return api.ServiceQuota{
		ServiceCode: wire.Some(serviceCode), ServiceName: wire.Some(serviceName),
		QuotaCode: wire.Some(q.code), QuotaName: wire.Some(q.name), QuotaArn: wire.Some(q.arn(s)),
		Value: wire.Some(value), Unit: wire.Some(q.unit), Adjustable: wire.Some(q.adjustable), GlobalQuota: wire.Some(false),
		UsageMetric: q.usage, QuotaAppliedAtLevel: wire.Some("ACCOUNT"),
	}
}

// ListServices lists the services that have quotas.
func (s *Service) ListServices(_ *wire.Call, in *api.ListServicesRequest) (*api.ListServicesResponse, error) {
	p, err := newPage(in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &api.ListServicesResponse{Services: []api.ServiceInfo{}}
	if on, _ := p.take(serviceCode); on {
		out.Services = append(out.Services, api.ServiceInfo{ServiceCode: wire.Some(serviceCode), ServiceName: wire.Some(serviceName)})
	}
	return out, nil
}

// ListServiceQuotas lists the quotas with their values.
func (s *Service) ListServiceQuotas(c *wire.Call, in *api.ListServiceQuotasRequest) (*api.ListServiceQuotasResponse, error) {
	p, err := newPage(in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	if err := checkService(in.ServiceCode.V); err != nil {
		return nil, err
	}
	out := &api.ListServiceQuotasResponse{Quotas: []api.ServiceQuota{}}
	if in.QuotaAppliedAtLevel.V == "RESOURCE" {
		return out, nil // all are the account's
	}
	snapshot := s.snapshot()
	for i := range all {
		q := &all[i]
		if in.QuotaCode.OK && q.code != in.QuotaCode.V {
			continue
		}
		on, more := p.take(q.code)
		if on {
			out.Quotas = append(out.Quotas, q.answer(c.Scope, q.value(s, snapshot, c.Scope)))
		}
		if !more {
			break
		}
	}
	out.NextToken = p.token()
	return out, nil
}

// ListAWSDefaultServiceQuotas lists the quotas as they are before a request.
func (s *Service) ListAWSDefaultServiceQuotas(c *wire.Call, in *api.ListAWSDefaultServiceQuotasRequest) (*api.ListAWSDefaultServiceQuotasResponse, error) {
	p, err := newPage(in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	if err := checkService(in.ServiceCode.V); err != nil {
		return nil, err
	}
	out := &api.ListAWSDefaultServiceQuotasResponse{Quotas: []api.ServiceQuota{}}
	for i := range all {
		on, more := p.take(all[i].code)
		if on {
			out.Quotas = append(out.Quotas, all[i].answer(c.Scope, all[i].byDefault(s)))
		}
		if !more {
			break
		}
	}
	out.NextToken = p.token()
	return out, nil
}

// GetServiceQuota answers a quota.
func (s *Service) GetServiceQuota(c *wire.Call, in *api.GetServiceQuotaRequest) (*api.GetServiceQuotaResponse, error) {
	if err := supported(c, in, "ContextId"); err != nil {
		return nil, err
	}
	q, err := find(in.ServiceCode.V, in.QuotaCode.V)
	if err != nil {
		return nil, err
	}
	a := q.answer(c.Scope, q.value(s, s.snapshot(), c.Scope))
	return &api.GetServiceQuotaResponse{Quota: &a}, nil
}

// GetAWSDefaultServiceQuota answers a quota as it is before a request.
func (s *Service) GetAWSDefaultServiceQuota(c *wire.Call, in *api.GetAWSDefaultServiceQuotaRequest) (*api.GetAWSDefaultServiceQuotaResponse, error) {
	q, err := find(in.ServiceCode.V, in.QuotaCode.V)
	if err != nil {
		return nil, err
	}
	a := q.answer(c.Scope, q.byDefault(s))
	return &api.GetAWSDefaultServiceQuotaResponse{Quota: &a}, nil
}
