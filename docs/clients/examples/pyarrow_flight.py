"""pyarrow's Flight client. Argument: the address, grpc://host:port, or grpc+tls://host:port with TLS."""

import os
import sys

import pyarrow as pa
import pyarrow.flight as flight


def statement(sql):
    """A CommandStatementQuery packed in an Any: pyarrow knows Flight, not Flight SQL."""

    def field(number, data):
        length, head = len(data), bytes([number << 3 | 2])
        while length > 127:
            head += bytes([length & 127 | 128])
            length >>= 7
        return head + bytes([length]) + data

    url = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    return flight.FlightDescriptor.for_command(field(1, url) + field(2, field(1, sql.encode())))


authority = os.environ.get("SHARDFLIGHT_CA")
client = flight.connect(sys.argv[1], **({"tls_root_certs": open(authority, "rb").read()} if authority else {}))
headers = [(b"x-shardflight-endpoints", b"shard")]  # without it: one endpoint
if user := os.environ.get("SHARDFLIGHT_USER"):
    headers.append(client.authenticate_basic_token(user, os.environ["SHARDFLIGHT_PASSWORD"]))
options = flight.FlightCallOptions(headers=headers)

info = client.get_flight_info(statement("select host, code, bytes from kinesis.default.nasahttp where code = 404"), options)
# The answer is the union of the endpoints: read all of them.
table = pa.concat_tables(client.do_get(endpoint.ticket, options).read_all() for endpoint in info.endpoints)
print(table.num_rows, "rows from", len(info.endpoints), "endpoints")
