package main

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v12/arrow"
	"github.com/apache/arrow/go/v12/arrow/array"
	"github.com/apache/arrow/go/v12/arrow/flight"
	"github.com/apache/arrow/go/v12/arrow/flight/flightsql"
)

// sqlInfo gives what the server says of itself, by number, as text.
func sqlInfo(ctx context.Context, client *flightsql.Client, info *flight.FlightInfo, err error) (map[uint32]string, error) {
	reader, err := read(ctx, client, info, err)
	if err != nil {
		return nil, err
	}
	defer reader.Release()
	said := map[uint32]string{}
	for reader.Next() {
		record := reader.Record()
		names := record.Column(0).(*array.Uint32)
		values := record.Column(1).(*array.DenseUnion)
		for row := 0; row < names.Len(); row++ {
			child, offset := values.Field(values.ChildID(row)), int(values.ValueOffset(row))
			if text, ok := child.(*array.String); ok {
				said[names.Value(row)] = text.Value(offset)
			} else {
				said[names.Value(row)] = fmt.Sprint(child.GetOneForMarshal(offset))
			}
		}
	}
	return said, reader.Err()
}

func bytesOf(column arrow.Array) []byte {
	return column.(*array.Binary).Value(0)
}
