// A stand-in for Grafana's Flight SQL plugin: its Arrow, its calls, its macros, and its refusals.
//
//	grafana ADDRESS health | sql-info | tables | columns TABLE | (table | time_series) FROM TO INTERVAL SQL
//
// It prints what the plugin would show as JSON. TLS_CA (a file) turns TLS on; USER and PASSWORD, or TOKEN, are credentials; METADATA is
// `key=value` pairs separated by commas, as in the data source's settings.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/apache/arrow/go/v12/arrow/flight"
	"github.com/apache/arrow/go/v12/arrow/flight/flightsql"
	"github.com/apache/arrow/go/v12/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

func main() {
	answer, err := run(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(answer)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) (any, error) {
	if len(args) < 2 {
		return nil, fmt.Errorf("an address and a call are wanted")
	}
	client, ctx, err := connect(args[0])
	if err != nil {
		return nil, err
	}
	defer client.Close()
	switch call, rest := args[1], args[2:]; {
	case call == "health":
		return panel{}.query(ctx, client, "select 1")
	case call == "sql-info":
		info, err := client.GetSqlInfo(ctx, nil)
		return sqlInfo(ctx, client, info, err)
	case call == "tables":
		info, err := client.GetTables(ctx, &flightsql.GetTablesOpts{TableTypes: []string{"BASE TABLE", "table"}})
		return fetch(ctx, client, info, err)
	case call == "columns" && len(rest) == 1:
		info, err := client.GetTables(ctx, &flightsql.GetTablesOpts{TableNameFilterPattern: &rest[0], IncludeSchema: true})
		return columns(ctx, client, info, err)
	case (call == "table" || call == "time_series") && len(rest) == 4:
		p, err := newPanel(rest[0], rest[1], rest[2])
		if err != nil {
			return nil, err
		}
		f, err := p.query(ctx, client, rest[3])
		if err == nil && call == "time_series" {
			err = f.timeSeries()
		}
		return f, err
	}
	return nil, fmt.Errorf("no such call: %v", args[1:])
}

func newPanel(from, to, interval string) (p panel, err error) {
	if p.from, err = time.Parse(time.RFC3339, from); err != nil {
		return
	}
	if p.to, err = time.Parse(time.RFC3339, to); err != nil {
		return
	}
	p.interval, err = time.ParseDuration(interval)
	return
}

func connect(address string) (*flightsql.Client, context.Context, error) {
	transport := insecure.NewCredentials()
	if file := os.Getenv("TLS_CA"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		transport = credentials.NewTLS(&tls.Config{RootCAs: pool})
	}
	client, err := flightsql.NewClient(address, nil, nil, grpc.WithTransportCredentials(transport))
	if err != nil {
		return nil, nil, err
	}
	ctx := context.Background()
	for _, pair := range strings.Split(os.Getenv("METADATA"), ",") {
		if key, value, found := strings.Cut(pair, "="); found {
			ctx = metadata.AppendToOutgoingContext(ctx, key, value)
		}
	}
	if token := os.Getenv("TOKEN"); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	} else if user := os.Getenv("USER_NAME"); user != "" {
		if ctx, err = client.Client.AuthenticateBasicToken(ctx, user, os.Getenv("PASSWORD")); err != nil {
			return nil, nil, err
		}
	}
	return client, ctx, nil
}

func (p panel) query(ctx context.Context, client *flightsql.Client, sql string) (frame, error) {
	expanded, err := p.expand(sql)
	if err != nil {
		return frame{}, err
	}
	info, err := client.Execute(ctx, expanded)
	return fetch(ctx, client, info, err)
}

// read opens the one endpoint that the plugin takes.
func read(ctx context.Context, client *flightsql.Client, info *flight.FlightInfo, err error) (*flight.Reader, error) {
	if err != nil {
		return nil, err
	}
	if len(info.Endpoint) != 1 {
		return nil, fmt.Errorf("unsupported endpoint count in response: %d", len(info.Endpoint))
	}
	return client.DoGet(ctx, info.Endpoint[0].Ticket)
}

func fetch(ctx context.Context, client *flightsql.Client, info *flight.FlightInfo, err error) (frame, error) {
	reader, err := read(ctx, client, info, err)
	if err != nil {
		return frame{}, err
	}
	defer reader.Release()
	return frameOf(reader)
}

// columns gives the columns of the first table: name and type.
func columns(ctx context.Context, client *flightsql.Client, info *flight.FlightInfo, err error) ([][2]string, error) {
	reader, err := read(ctx, client, info, err)
	if err != nil {
		return nil, err
	}
	defer reader.Release()
	found := [][2]string{}
	for reader.Next() {
		record := reader.Record()
		index := record.Schema().FieldIndices("table_schema")
		if record.NumRows() == 0 || len(index) != 1 {
			continue
		}
		schema, err := flight.DeserializeSchema(bytesOf(record.Column(index[0])), memory.DefaultAllocator)
		if err != nil {
			return nil, err
		}
		for _, field := range schema.Fields() {
			found = append(found, [2]string{field.Name, field.Type.Name()})
		}
		return found, nil
	}
	return found, reader.Err()
}
