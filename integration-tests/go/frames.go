package main

import (
	"fmt"
	"time"

	"github.com/apache/arrow/go/v12/arrow"
	"github.com/apache/arrow/go/v12/arrow/array"
	"github.com/apache/arrow/go/v12/arrow/flight"
)

// The plugin reads no more rows.
const rowLimit = 1_000_000

// A frame as a panel shows it: columns of equal length.
type frame struct {
	Names  []string `json:"names"`
	Types  []string `json:"types"`
	Values [][]any  `json:"values"`
}

// frameOf copies what the plugin can copy. A column of another type stays empty there, which breaks the panel; here it is an error.
func frameOf(reader *flight.Reader) (frame, error) {
	schema := reader.Schema()
	f := frame{Values: make([][]any, len(schema.Fields()))}
	for _, field := range schema.Fields() {
		f.Names = append(f.Names, field.Name)
		f.Types = append(f.Types, field.Type.Name())
	}
	rows := int64(0)
	for reader.Next() && rows < rowLimit {
		record := reader.Record()
		for i, column := range record.Columns() {
			for row := 0; row < column.Len(); row++ {
				value, err := valueOf(column, row)
				if err != nil {
					return f, fmt.Errorf("column %s: %w", f.Names[i], err)
				}
				f.Values[i] = append(f.Values[i], value)
			}
		}
		rows += record.NumRows()
	}
	return f, reader.Err()
}

func valueOf(column arrow.Array, row int) (any, error) {
	if known(column) && column.IsNull(row) {
		return nil, nil
	}
	switch typed := column.(type) {
	case *array.String:
		return typed.Value(row), nil
	case *array.Boolean:
		return typed.Value(row), nil
	case *array.Int8:
		return typed.Value(row), nil
	case *array.Int16:
		return typed.Value(row), nil
	case *array.Int32:
		return typed.Value(row), nil
	case *array.Int64:
		return typed.Value(row), nil
	case *array.Uint8:
		return typed.Value(row), nil
	case *array.Uint16:
		return typed.Value(row), nil
	case *array.Uint32:
		return typed.Value(row), nil
	case *array.Uint64:
		return typed.Value(row), nil
	case *array.Float32:
		return typed.Value(row), nil
	case *array.Float64:
		return typed.Value(row), nil
	case *array.Duration:
		return int64(typed.Value(row)), nil
	case *array.Timestamp:
		// the plugin takes every unit for nanoseconds
		return typed.Value(row).ToTime(arrow.Nanosecond).UTC().Format(time.RFC3339Nano), nil
	}
	return nil, fmt.Errorf("the plugin has no field for %s", column.DataType())
}

func known(column arrow.Array) bool {
	switch column.DataType().ID() {
	case arrow.STRING, arrow.BOOL, arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64,
		arrow.FLOAT32, arrow.FLOAT64, arrow.DURATION, arrow.TIMESTAMP:
		return true
	}
	return false
}

// timeSeries checks what a time series panel needs: a column of that very name, and it holds times.
func (f frame) timeSeries() error {
	for i, name := range f.Names {
		if name != "time" {
			continue
		}
		if f.Types[i] != "timestamp" {
			return fmt.Errorf("column time is of type %s", f.Types[i])
		}
		return nil
	}
	return fmt.Errorf("no time column found")
}
