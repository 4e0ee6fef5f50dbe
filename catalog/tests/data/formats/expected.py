#!/usr/bin/env python3
"""What each case's records come to, by Python's own parsers (standard library alone).

`python3 expected.py` writes, for each case below, `table.yaml` and `expected.ndjson` beside its `records*` file: one line for each row that the records
decode to, with the index of its record, a part of its verdict (null = good) and the values. Timestamps, dates and times of day are numbers of their
unit, decimals text, bytes hexadecimal text.
"""
import base64, csv, gzip, io, json, os
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from email.utils import parsedate_to_datetime

HERE = os.path.dirname(os.path.abspath(__file__))
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def loads(data):
    # Decimal keeps numbers as they are written
    return json.loads(data, parse_float=Decimal)


def at(document, path):
    for step in [s for s in path.split("/") if s]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdigit():
            document = document[int(step)] if int(step) < len(document) else None
        else:
            return None
    return document


def instant(text, fmt):
    if fmt == "rfc2822":
        moment = parsedate_to_datetime(text)
    elif fmt:
        moment = datetime.strptime(text, fmt)
    else:
        moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return Decimal((moment - EPOCH) // timedelta(microseconds=1)) / 1_000_000


def compact(value):
    """JSON as text, numbers as written."""
    if isinstance(value, dict):
        return "{" + ",".join(json.dumps(k) + ":" + compact(v) for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


class Raw(str):
    """Text of a column of type json or of an object as varchar: compared as JSON."""


def convert(value, kind, fmt=None):
    if value is None:
        return None
    if isinstance(kind, list):  # array
        return [convert(v, kind[0]) for v in value]
    if isinstance(kind, tuple):  # map
        return {k: convert(v, kind[1]) for k, v in value.items()}
    if isinstance(kind, dict):  # row
        return {name: convert(value.get(name), k) for name, k in kind.items()}
    if kind == "json":
        return {"json": json.loads(compact(value))}
    if kind == "varchar":
        if isinstance(value, (dict, list)):
            return {"json": json.loads(compact(value))}
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value)
    if kind == "boolean":
        return value if isinstance(value, bool) else {"true": True, "false": False}[str(value).lower()]
    if kind in ("tinyint", "smallint", "integer", "bigint"):
        return int(value)
    if kind in ("real", "double"):
        return float(value)
    if kind.startswith("decimal"):
        scale = int(kind.split(",")[1].rstrip(")"))
        return str(Decimal(str(value)).quantize(Decimal(1).scaleb(-scale)))
    if kind == "varbinary":
        if fmt == "base64":
            return base64.b64decode(value).hex()
        return str(value).encode().hex()
    if kind == "date":
        return (date.fromisoformat(value) - date(1970, 1, 1)).days
    if kind.startswith("timestamp"):
        unit = UNITS[kind.split("(")[1].split(")")[0]] if "(" in kind else 1000
        if fmt == "seconds-since-epoch":
            seconds = Decimal(str(value))
        elif isinstance(value, (int, Decimal)):
            seconds = Decimal(value) / 1000
        else:
            seconds = instant(value, fmt)
        return int((seconds * unit).to_integral_value(rounding="ROUND_FLOOR"))
    raise ValueError(kind)


def spelled(kind):
    if isinstance(kind, list):
        return f"array<{spelled(kind[0])}>"
    if isinstance(kind, tuple):
        return f"map<{kind[0]}, {spelled(kind[1])}>"
    if isinstance(kind, dict):
        return "row<" + ", ".join(f'"{name}" {spelled(k)}' for name, k in kind.items()) + ">"
    return kind


def lines(case, name="records.ndjson"):
    return open(os.path.join(HERE, case, name), "rb").read().splitlines()


def whole(case, name):
    return open(os.path.join(HERE, case, name), "rb").read()


def write(case, format, columns, rows):
    """columns: (name, path, type, format); rows: (record, verdict, values by place)"""
    with open(os.path.join(HERE, case, "table.yaml"), "w") as out:
        out.write(f"table: t\nstream: s\nformat: {format}\ncolumns:\n")
        for name, path, kind, fmt in columns:
            extra = f", format: {json.dumps(fmt)}" if fmt else ""
            place = f"index: {path}" if isinstance(path, int) else f"path: {json.dumps(path)}"
            out.write(f"  - {{ name: {name}, {place}, type: {json.dumps(spelled(kind))}{extra} }}\n")
    with open(os.path.join(HERE, case, "expected.ndjson"), "w") as out:
        for record, verdict, values in rows:
            out.write(json.dumps({"record": record, "verdict": verdict, "values": values}) + "\n")


def documents(columns, rows):
    """rows: (record, document or list of (document, for which columns)) -> rows of values"""
    return [(record, None, [convert(at(d, path), kind, fmt) for _, path, kind, fmt in columns]) for record, d in rows]


GITHUB = [
    ("id", "id", "bigint", None),
    ("type", "type", "varchar", None),
    ("actor", "actor", {"id": "bigint", "login": "varchar", "gravatar_id": "varchar"}, None),
    ("repo_name", "repo/name", "varchar", None),
    ("first_sha", "payload/commits/0/sha", "varchar", None),
    ("commits", "payload/commits", [{"sha": "varchar", "distinct": "boolean", "author": ("varchar", "varchar")}], None),
    ("public", "public", "boolean", None),
    ("payload", "payload", "json", None),
    ("repo", "repo", "varchar", None),
    ("created_at", "created_at", "timestamp(s) with time zone", None),
    ("size", "payload/size", "decimal(10,2)", None),
]


def github_events():
    rows = [(i, loads(line)) for i, line in enumerate(lines("github_events"))]
    write("github_events", "json", GITHUB, documents(GITHUB, rows))


def github_array():
    rows = [(0, event) for event in loads(whole("github_array", "records.whole"))]
    write("github_array", "{ json: { rows: elements } }", GITHUB, documents(GITHUB, rows))


def earthquakes():
    columns = [
        ("mag", "properties/mag", "decimal(4,2)", None),
        ("mag_double", "properties/mag", "double", None),
        ("place", "properties/place", "varchar", None),
        ("at", "properties/time", "timestamp(ms)", None),
        ("felt", "properties/felt", "bigint", None),
        ("tz", "properties/tz", "smallint", None),
        ("dmin", "properties/dmin", "decimal(60,20)", None),
        ("coordinates", "geometry/coordinates", ["double"], None),
        ("depth", "geometry/coordinates/2", "double", None),
        ("exact", "geometry/coordinates", ["varchar"], None),
    ]
    # three lines a record, and blank lines and carriage returns between them
    records = [[line for line in record.split(b"\n") if line.strip()] for record in map(base64.b64decode, lines("earthquakes", "records.base64"))]
    rows = [(i, loads(line)) for i, record in enumerate(records) for line in record]
    write("earthquakes", "ndjson", columns, documents(columns, rows))


def nginx_plus():
    columns = [
        ("at", "timestamp", "timestamp(ms)", None),
        ("hg", "server_zones/hg.nginx.org/responses/2xx", "bigint", None),
        ("zones", "server_zones", ("varchar", {"requests": "bigint", "responses": ("varchar", "bigint"), "received": "bigint"}), None),
        ("peers", "upstreams/trac-backend/peers", [{"server": "varchar", "health_checks": {"last_passed": "boolean"}}], None),
        ("state", "upstreams/trac-backend/peers/1/state", "varchar", None),
    ]
    rows = [(i, loads(line)) for i, line in enumerate(lines("nginx_plus"))]
    write("nginx_plus", "json", columns, documents(columns, rows))


def several_values():
    columns = [("scene", "sceneID", "tinyint", None), ("at", "@timestamp", "timestamp(s)", None), ("beverage", "beverage", "varchar", None), ("quantity", "quantity", "integer", None)]
    decoder, rows = json.JSONDecoder(), []
    for i, record in enumerate(map(base64.b64decode, lines("several_values", "records.base64"))):
        text, place = record.decode(), 0
        while place < len(text):
            document, place = decoder.raw_decode(text, place)
            rows.append((i, document))
            while place < len(text) and text[place].isspace():
                place += 1
    write("several_values", "{ json: { rows: values } }", columns, documents(columns, rows))


def accepted_json():
    columns = [("whole", "/", "json", None), ("text", "/", "varchar", None)]
    rows = []
    for i, record in enumerate(map(base64.b64decode, lines("accepted_json", "records.base64"))):
        document = json.loads(record)
        if document is None:
            values = [None, None]
        else:
            # numbers are compared as numbers, so a text is compared as JSON where the document is one
            values = [{"json": document}, {"text": document} if isinstance(document, str) else {"json": document}]
        rows.append((i, None, values))
    write("accepted_json", "json", columns, rows)


def cloudwatch_logs():
    columns = [
        ("log_group", "logGroup", "varchar", None),
        ("log_stream", "logStream", "varchar", None),
        ("owner", "owner", "varchar", None),
        ("filters", "subscriptionFilters", ["varchar"], None),
        ("id", "id", "varchar", None),
        ("at", "timestamp", "timestamp(ms)", None),
        ("message", "message", "varchar", None),
        ("level", "message/level", "varchar", None),
        ("location", "message/location", "varchar", None),
    ]
    rows = []
    for i, record in enumerate(map(base64.b64decode, lines("cloudwatch_logs", "records.base64"))):
        envelope = json.loads(gzip.decompress(record))
        if envelope["messageType"] == "CONTROL_MESSAGE":
            continue
        for event in envelope["logEvents"]:
            try:
                inner = json.loads(event["message"])
            except ValueError:
                inner = None
            values = []
            for name, path, kind, fmt in columns:
                if path.startswith("message/"):
                    value = at(inner, path.removeprefix("message/"))
                else:
                    value = at(event if path in event else envelope, path)
                values.append(convert(value, kind, fmt))
            rows.append((i, None, values))
    write("cloudwatch_logs", "cloudwatch_logs", columns, rows)


def dynamodb_records():
    columns = [
        ("event", "Records/eventName", "varchar", None),
        ("at", "Records/dynamodb/ApproximateCreationDateTime", "timestamp(s)", "seconds-since-epoch"),
        ("key", "Records/dynamodb/Keys/key/S", "varchar", None),
        ("first", "Records/dynamodb/NewImage/asdf1/B", "varbinary", "base64"),
        ("all", "Records/dynamodb/NewImage/asdf2/BS", ["varchar"], None),
        ("new_image", "Records/dynamodb/NewImage", ("varchar", "json"), None),
        ("sequence", "Records/dynamodb/SequenceNumber", "decimal(40,0)", None),
    ]
    rows = [(i, {"Records": r}) for i, name in enumerate(["records.whole"]) for r in json.loads(whole("dynamodb_records", name))["Records"]]
    write("dynamodb_records", "{ json: { elements_of: Records } }", columns, documents(columns, rows))


def cloudevents():
    columns = [
        ("id", "id", "varchar", None),
        ("source", "source", "varchar", None),
        ("type", "type", "varchar", None),
        ("at", "time", "timestamp(us) with time zone", None),
        ("subject", "subject", "varchar", None),
        ("data", "data", "json", None),
        ("amount", "data/amount", "decimal(12,2)", None),
        ("bytes", "data_base64", "varbinary", "base64"),
    ]
    rows = []
    for i, record in enumerate(lines("cloudevents")):
        document = loads(record)
        for event in document if isinstance(document, list) else [document]:
            verdict = None if "specversion" in event else "specversion: it is missing"
            rows.append((i, verdict, [convert(at(event, path), kind, fmt) for _, path, kind, fmt in columns]))
    write("cloudevents", "cloudevents", columns, rows)


def dms():
    columns = [
        ("operation", "metadata/operation", "varchar", None),
        ("kind", "metadata/record-type", "varchar", None),
        ("table_name", "metadata/table-name", "varchar", None),
        ("committed", "metadata/commit-timestamp", "timestamp(us)", None),
        ("id", "data/id", "bigint", None),
        ("price", "data/price", "decimal(10,2)", None),
        ("born", "data/born", "date", None),
        ("row", "data", {"id": "bigint", "name": "varchar"}, None),
    ]
    rows = [(i, loads(line)) for i, line in enumerate(lines("dms"))]
    write("dms", "json", columns, documents(columns, rows))


def taxis():
    columns = [
        ("pickup", "pickup", "timestamp(s)", None),
        ("dropoff", "dropoff", "timestamp(ms)", "%Y-%m-%d %H:%M:%S"),
        ("passengers", "passengers", "tinyint", None),
        ("distance", "distance", "double", None),
        ("fare", "fare", "decimal(8,2)", None),
        ("total", "total", "decimal(8,2)", None),
        ("payment", "payment", "varchar", None),
        ("zone", "dropoff_zone", "varchar", None),
        ("borough", "dropoff_borough", "varchar", None),
    ]
    rows = []
    for i, record in enumerate(map(base64.b64decode, lines("taxis", "records.base64"))):
        for line in csv.DictReader(io.StringIO(record.decode())):
            values = [convert(line[path] if line[path] != "" or kind == "varchar" else None, kind, fmt) for _, path, kind, fmt in columns]
            rows.append((i, None, values))
    write("taxis", "{ csv: { header: true } }", columns, rows)


if __name__ == "__main__":
    for case in (github_events, github_array, earthquakes, nginx_plus, several_values, accepted_json, cloudwatch_logs, dynamodb_records, cloudevents, dms, taxis):
        case()
