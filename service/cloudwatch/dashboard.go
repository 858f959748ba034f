package cloudwatch

import (
	"encoding/json"
	"regexp"
	"strings"

	api "github.com/weir-run/weir/aws/cloudwatch"
	"github.com/weir-run/weir/aws/wire"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

const maxDashboards = 1000 // of an answer

var dashboardName = regexp.MustCompile(`^[0-9A-Za-z_-]{1,255}$`)

// dashboardARN has no region, as dashboards are AWS-wide.
func dashboardARN(s lambda.Scope, name string) string {
	return "arn:" + s.Partition() + ":cloudwatch::" + s.Account + ":dashboard/" + name
}

// PutDashboard stores a dashboard. Its body is checked to be a JSON object with a list of
// widgets; what a widget shows is the browser's matter.
func (s *Service) PutDashboard(c *wire.Call, in *api.PutDashboardInput) (*api.PutDashboardOutput, error) {
	if err := s.supported(c, in, "Tags"); err != nil {
		return nil, err
	}
	if !dashboardName.MatchString(in.DashboardName.V) {
		return nil, lambda.Errorf("DashboardInvalidInputError", "The value for parameter DashboardName is invalid. It must have 1 to 255 of the characters A-Z, a-z, 0-9, - and _.")
	}
	var body map[string]json.RawMessage
	if err := json.Unmarshal([]byte(in.DashboardBody.V), &body); err != nil {
		return nil, lambda.Errorf("DashboardInvalidInputError", "The field DashboardBody must be a valid JSON object")
	}
	var widgets []json.RawMessage
	if err := json.Unmarshal(body["widgets"], &widgets); err != nil {
		return nil, lambda.Errorf("DashboardInvalidInputError", "The dashboard body is invalid, it must have the required property widgets, which is a list")
	}
	err := s.update(func(tx *store.Tx) error {
		dashboardKind.Put(tx, c.Scope, in.DashboardName.V, &dashboardRecord{Body: in.DashboardBody.V, Modified: int64(s.driver.now())})
		return nil
	})
	return &api.PutDashboardOutput{DashboardValidationMessages: []api.DashboardValidationMessage{}}, err
}

// GetDashboard answers a dashboard.
func (s *Service) GetDashboard(c *wire.Call, in *api.GetDashboardInput) (*api.GetDashboardOutput, error) {
	r, ok := dashboardKind.Get(s.snapshot(), c.Scope, in.DashboardName.V)
	if !ok {
		return nil, noDashboard(in.DashboardName.V)
	}
	return &api.GetDashboardOutput{
		DashboardArn: wire.Some(dashboardARN(c.Scope, in.DashboardName.V)), DashboardName: in.DashboardName, DashboardBody: wire.Some(r.Body),
	}, nil
}

func noDashboard(name string) error {
	return lambda.Errorf("DashboardNotFoundError", "Dashboard %s does not exist", name)
}

// ListDashboards lists dashboards by name.
func (s *Service) ListDashboards(c *wire.Call, in *api.ListDashboardsInput) (*api.ListDashboardsOutput, error) {
	after, err := mark(in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListDashboardsOutput{DashboardEntries: []api.DashboardEntry{}}
	last := ""
	dashboardKind.ScanPrefix(s.snapshot(), c.Scope, in.DashboardNamePrefix.V, after, func(name string, r *dashboardRecord) bool {
		if len(out.DashboardEntries) == maxDashboards {
			out.NextToken = token(last)
			return false
		}
		last = name
		out.DashboardEntries = append(out.DashboardEntries, api.DashboardEntry{
			DashboardName: wire.Some(name), DashboardArn: wire.Some(dashboardARN(c.Scope, name)),
			LastModified: timeOf(r.Modified), Size: wire.Some(int64(len(r.Body))),
		})
		return true
	})
	return out, nil
}

// DeleteDashboards deletes dashboards, all or none.
func (s *Service) DeleteDashboards(c *wire.Call, in *api.DeleteDashboardsInput) (*api.DeleteDashboardsOutput, error) {
	err := s.update(func(tx *store.Tx) error {
		var unknown []string
		for _, name := range in.DashboardNames {
			if _, ok := dashboardKind.Get(tx, c.Scope, name); !ok {
				unknown = append(unknown, name)
			}
			dashboardKind.Delete(tx, c.Scope, name)
		}
		if len(unknown) > 0 {
			return noDashboard(strings.Join(unknown, ", "))
		}
		return nil
	})
	return &api.DeleteDashboardsOutput{}, err
}
