"""Flight SQL messages by hand, for clients that have Flight but not Flight SQL."""

import pyarrow.flight as flight


def field(number, payload):
    """A field of a protobuf message."""
    length, size = bytearray(), len(payload)
    while True:
        length.append((size & 0x7F) | (0x80 if size > 0x7F else 0))
        size >>= 7
        if not size:
            break
    return bytes([number << 3 | 2]) + bytes(length) + payload


def statement(sql):
    """The descriptor of CommandStatementQuery."""
    url = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    return flight.FlightDescriptor.for_command(field(1, url) + field(2, field(1, sql.encode())))


def with_headers(**headers):
    """Call options with headers of Shardflight: with_headers(endpoints="shard")."""
    return flight.FlightCallOptions(headers=[(f"x-shardflight-{name.replace('_', '-')}".encode(), value.encode()) for name, value in headers.items()])
