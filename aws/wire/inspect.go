package wire

// Given returns the names of a structure's members that are set, in the model's order. A
// service holds them against those it supports.
func Given(s Struct) []string {
	var names []string
	members := s.WireShape().Members
	for i := range members {
		if !absent(members[i].Type, s.WireMember(i)) {
			names = append(names, members[i].Name)
		}
	}
	return names
}

// Violations checks a structure against the model's constraints and returns the text of
// AWS's ValidationException, or an empty string. A RawFunc calls it for what it read itself;
// everything else is checked before the service is called.
func Violations(s Struct) string { return validate(s) }
