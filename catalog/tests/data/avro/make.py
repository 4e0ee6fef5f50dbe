"""Avro data of every type, written by fastavro (`pip install fastavro cramjam zstandard`), with the values that were put in, as arrow shows them."""

import datetime as dt
import decimal
import json
import random
import struct
import uuid
from io import BytesIO
from pathlib import Path

import fastavro

HERE = Path(__file__).parent
UTC = dt.timezone.utc
DAY = dt.date(1970, 1, 1)

SCHEMA = {
    "type": "record",
    "name": "Every",
    "namespace": "test",
    "fields": [
        {"name": "flag", "type": "boolean"},
        {"name": "small", "type": "int"},
        {"name": "large", "type": "long"},
        {"name": "real", "type": "float"},
        {"name": "double", "type": "double"},
        {"name": "bytes", "type": "bytes"},
        {"name": "text", "type": ["null", "string"]},
        {"name": "either", "type": ["null", "long", "string", "boolean"]},
        {"name": "suit", "type": {"type": "enum", "name": "Suit", "symbols": ["SPADES", "HEARTS"]}},
        {"name": "four", "type": {"type": "fixed", "name": "Four", "size": 4}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4}},
        {"name": "fee", "type": ["null", {"type": "fixed", "name": "Fee", "size": 9, "logicalType": "decimal", "precision": 18, "scale": 2}]},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "time_ms", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "time_us", "type": {"type": "long", "logicalType": "time-micros"}},
        {"name": "at_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "at_us", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
        {"name": "local_us", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
        {"name": "at_ns", "type": {"type": "long", "logicalType": "timestamp-nanos"}},
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "tags", "type": {"type": "array", "items": ["null", "string"]}},
        {"name": "counts", "type": {"type": "map", "values": "long"}},
        {
            "name": "place",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Place",
                    "fields": [
                        {"name": "name", "type": "string"},
                        {"name": "point", "type": {"type": "array", "items": "double"}},
                        {"name": "suit", "type": "Suit"},
                        {"name": "within", "type": ["null", "Place"]},
                    ],
                },
            ],
        },
    ],
}
# The same stream later: a field less, one more, one of another type, another order.
LATER = {
    "type": "record",
    "name": "Every",
    "namespace": "test",
    "fields": [
        {"name": "added", "type": "string"},
        {"name": "large", "type": ["null", "int"]},
        {"name": "text", "type": "string"},
        {"name": "place", "type": {"type": "record", "name": "Place", "fields": [{"name": "zip", "type": "int"}, {"name": "name", "type": "string"}]}},
    ],
}


def value(rng: random.Random) -> dict:
    """A record for fastavro."""

    def place(depth: int):
        if depth == 0 or rng.random() < 0.3:
            return None
        return {
            "name": rng.choice(["Zürich", "a \"quoted\" place", ""]),
            "point": [rng.uniform(-180, 180) for _ in range(rng.randrange(3))],
            "suit": rng.choice(["SPADES", "HEARTS"]),
            "within": place(depth - 1),
        }

    instant = dt.datetime(1960, 1, 1, tzinfo=UTC) + dt.timedelta(microseconds=rng.randrange(3 * 10**15))
    return {
        "flag": rng.random() < 0.5,
        "small": rng.choice([0, 1, -1, 2**31 - 1, -(2**31), rng.randrange(1000)]),
        "large": rng.choice([0, 2**63 - 1, -(2**63), rng.randrange(10**12)]),
        "real": struct.unpack("<f", struct.pack("<f", rng.uniform(-1e6, 1e6)))[0],
        "double": rng.uniform(-1e300, 1e300),
        "bytes": rng.randbytes(rng.randrange(6)),
        "text": rng.choice([None, "", "grüße\n", "x" * 200]),
        "either": rng.choice([None, 7, "seven", True]),
        "suit": rng.choice(["SPADES", "HEARTS"]),
        "four": rng.randbytes(4),
        "price": decimal.Decimal(rng.randrange(-(10**19), 10**19)).scaleb(-4),
        "fee": rng.choice([None, decimal.Decimal(rng.randrange(-(10**17), 10**17)).scaleb(-2)]),
        "day": instant.date(),
        "time_ms": dt.time(rng.randrange(24), rng.randrange(60), rng.randrange(60), rng.randrange(1000) * 1000),
        "time_us": dt.time(rng.randrange(24), rng.randrange(60), rng.randrange(60), rng.randrange(10**6)),
        "at_ms": instant.replace(microsecond=instant.microsecond // 1000 * 1000),
        "at_us": rng.choice([None, instant]),
        "local_us": instant.replace(tzinfo=None),
        "at_ns": rng.randrange(-(10**18), 2 * 10**18),
        "id": uuid.UUID(int=rng.getrandbits(128)),
        "tags": [rng.choice([None, "", "a,b", "é"]) for _ in range(rng.randrange(4))],
        "counts": {key: rng.randrange(-100, 100) for key in rng.sample(["a", "b", "ü"], rng.randrange(4))},
        "place": place(3),
    }


def shown(record: dict) -> dict:
    """A record's values as texts in arrow's spelling, nested ones as JSON."""

    def fraction(text: str, digits: int) -> str:
        return "" if int(text) == 0 else "." + text

    def time(value: dt.time, digits: int) -> str:
        micros = f"{value.microsecond:06}"
        return value.strftime("%H:%M:%S") + ("" if value.microsecond == 0 else "." + micros[:digits])

    def instant(value: dt.datetime, digits: int) -> str:
        micros = f"{value.microsecond:06}"
        # arrow writes as many digits as the value needs, by threes
        if value.microsecond == 0:
            tail = ""
        elif value.microsecond % 1000 == 0:
            tail = "." + micros[:3]
        else:
            tail = "." + micros
        return value.strftime("%Y-%m-%dT%H:%M:%S") + tail

    def nanos(value: int) -> str:
        seconds, rest = divmod(value, 10**9)
        text = (dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
        if rest % 10**9 == 0:
            return text
        if rest % 10**6 == 0:
            return f"{text}.{rest // 10**6:03}"
        if rest % 1000 == 0:
            return f"{text}.{rest // 1000:06}"
        return f"{text}.{rest:09}"

    out = dict(record)
    out["real"] = repr(record["real"])
    for name in ("bytes", "four"):
        out[name] = record[name].hex()
    for name in ("price", "fee"):
        out[name] = None if record[name] is None else f"{record[name]:f}"
    either = record["either"]
    out["either"] = None if either is None else str(either).lower() if isinstance(either, bool) else str(either)
    out["day"] = record["day"].isoformat()
    out["time_ms"] = time(record["time_ms"], 3)
    out["time_us"] = time(record["time_us"], 6)
    out["at_ms"] = instant(record["at_ms"], 3)
    out["at_us"] = None if record["at_us"] is None else instant(record["at_us"], 6)
    out["local_us"] = instant(record["local_us"], 6)
    out["at_ns"] = nanos(record["at_ns"])
    out["id"] = str(record["id"])
    return out


def datum(schema: dict, record: dict) -> bytes:
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, schema, record)
    return buffer.getvalue()


def main() -> None:
    rng = random.Random(20240701)
    records = [value(rng) for _ in range(100)]
    (HERE / "every.avsc").write_text(json.dumps(SCHEMA, indent=1) + "\n")
    for codec in ("null", "deflate", "snappy", "zstandard"):
        with open(HERE / f"every.{codec}.avro", "wb") as file:
            fastavro.writer(file, SCHEMA, records, codec=codec, sync_interval=2000, sync_marker=b"0123456789abcdef")
    # For comparisons with readers that know no type that holds itself: one without `place`.
    flat = {**SCHEMA, "fields": [field for field in SCHEMA["fields"] if field["name"] != "place"]}
    with open(HERE / "flat.avro", "wb") as file:
        fastavro.writer(file, flat, records, codec="null", sync_interval=2000, sync_marker=b"0123456789abcdef")
    fingerprint = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(flat), "CRC-64-AVRO")
    (HERE / "flat.json").write_text(
        json.dumps({"schema": flat, "fingerprint": fingerprint, "data": [datum(flat, record).hex() for record in records]}, indent=0) + "\n"
    )
    later = [{"added": "new", "large": None, "text": "t", "place": {"zip": 8001, "name": "Zürich"}}, {"added": "", "large": 5, "text": "", "place": {"zip": 1, "name": ""}}]
    (HERE / "every.json").write_text(
        json.dumps(
            {
                "records": [shown(record) for record in records],
                "data": [datum(SCHEMA, record).hex() for record in records],
                "fingerprint": fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(SCHEMA), "CRC-64-AVRO"),
                "later_schema": LATER,
                "later": later,
                "later_data": [datum(LATER, record).hex() for record in later],
            },
            indent=0,
            ensure_ascii=False,
        )
        + "\n"
    )


main()
