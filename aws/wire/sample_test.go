package wire

import "time"

// A sample has a member of every kind.
type sample struct {
	Name    Opt[string]
	On      Opt[bool]
	Small   Opt[int32]
	Big     Opt[int64]
	Single  Opt[float32]
	Double  Opt[float64]
	Data    []byte
	At      Opt[time.Time]
	Day     Opt[time.Time]
	Nested  *sample
	Texts   []string
	Numbers []int32
	Lists   []List[string]
	Items   []sample
	Tags    map[string]string
	Weights map[string]float64
	Parts   map[string]*sample
	Choice  *choice
}

var (
	sampleDay     = Type{Kind: Timestamp, Time: ISOTime}
	sampleTexts   = Type{Kind: ListKind, Elem: &StringType}
	sampleNumbers = Type{Kind: ListKind, Elem: &Int32Type, Flat: true}
	sampleLists   = Type{Kind: ListKind, Elem: &sampleTexts}
	sampleItems   = Type{Kind: ListKind, Elem: &StructureType, ItemName: "Item"}
	sampleTags    = Type{Kind: MapKind, Key: &StringType, Elem: &StringType}
	sampleWeights = Type{Kind: MapKind, Key: &StringType, Elem: &Float64Type, Flat: true, KeyName: "Key", ValueName: "Value"}
	sampleParts   = Type{Kind: MapKind, Key: &StringType, Elem: &StructureType}
	sampleShape   = Shape{Name: "Sample", Members: []Member{
		{Name: "Name", Type: &StringType}, {Name: "On", Type: &BoolType}, {Name: "Small", Type: &Int32Type},
		{Name: "Big", Type: &Int64Type}, {Name: "Single", Type: &Float32Type}, {Name: "Double", Type: &Float64Type},
		{Name: "Data", Type: &BlobType}, {Name: "At", Type: &TimestampType}, {Name: "Day", Wire: "day", Type: &sampleDay},
		{Name: "Nested", Type: &StructureType}, {Name: "Texts", Type: &sampleTexts}, {Name: "Numbers", Type: &sampleNumbers},
		{Name: "Lists", Type: &sampleLists}, {Name: "Items", Type: &sampleItems}, {Name: "Tags", Type: &sampleTags},
		{Name: "Weights", XML: "Weight", Type: &sampleWeights}, {Name: "Parts", Type: &sampleParts},
		{Name: "Choice", Type: &StructureType},
	}}
)

func (*sample) WireShape() *Shape { return &sampleShape }

func (s *sample) WireMember(i int) any {
	return []any{
		&s.Name, &s.On, &s.Small, &s.Big, &s.Single, &s.Double, &s.Data, &s.At, &s.Day, Ref[sample, *sample]{&s.Nested},
		(*List[string])(&s.Texts), (*List[int32])(&s.Numbers), (*List[List[string]])(&s.Lists), (*List[sample])(&s.Items),
		(*Map[string])(&s.Tags), (*Map[float64])(&s.Weights), (*StructMap[sample, *sample])(&s.Parts),
		Ref[choice, *choice]{&s.Choice},
	}[i]
}

// A choice is a union.
type choice struct {
	A Opt[string]
	B Opt[int32]
}

var choiceShape = Shape{Name: "Choice", Union: true, Members: []Member{{Name: "a", Type: &StringType}, {Name: "b", Type: &Int32Type}}}

func (*choice) WireShape() *Shape { return &choiceShape }

func (c *choice) WireMember(i int) any { return []any{&c.A, &c.B}[i] }

// fullSample has every member set.
func fullSample() *sample {
	at := time.Date(2026, 11, 21, 10, 30, 0, 250e6, time.UTC)
	return &sample{
		Name: Some("naïve \"quoted\" \\ \n\t\x01 <tag> & 😀"), On: Some(true), Small: Some[int32](-7), Big: Some[int64](1 << 60),
		Single: Some[float32](1.5), Double: Some(-2.25e-9), Data: []byte{0, 255, 16}, At: Some(at), Day: Some(at),
		Nested: &sample{Name: Some("inner")}, Texts: []string{"a", ""}, Numbers: []int32{3, 1, 2},
		Lists: []List[string]{{"x"}, {}}, Items: []sample{{Small: Some[int32](1)}, {}},
		Tags: map[string]string{"k": "v", "": "empty key"}, Weights: map[string]float64{"2": 0.5},
		Parts: map[string]*sample{"p": {On: Some(false)}}, Choice: &choice{B: Some[int32](4)},
	}
}
