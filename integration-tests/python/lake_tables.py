"""The rows that the lake's tests write, made once more, and where their tables are."""

import datetime
import decimal

import pyarrow as pa
import pyarrow.fs

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
# Rows of an iteration; from the third on they have a column more.
ITERATION = 500
LATE = 2 * ITERATION


def row(number):
    days = [None, "a/b=c% ü", "2024-01-02", "2024-01-03", "2024-01-04"]
    return {
        "id": number,
        "host": None if number % 7 == 0 else f"host-{number}/ä",
        "day": days[number % 5],
        "size": number / 4,
        "at": EPOCH + datetime.timedelta(milliseconds=1_700_000_000_000 + number * 1001),
        "ok": None if number % 3 == 0 else number % 2 == 0,
        "total": decimal.Decimal(2**64 - 1 - number),
        "status": None if number < LATE else 200 + number % 2,
    }


def expected(count, columns):
    """The first rows, with these columns alone."""
    return [{name: row(number)[name] for name in columns} for number in range(count)]


def types(columns):
    """Types of these columns in Arrow."""
    known = {
        "id": pa.int64(),
        "host": pa.string(),
        "day": pa.string(),
        "size": pa.float64(),
        "at": pa.timestamp("us", tz="UTC"),
        "ok": pa.bool_(),
        "total": pa.decimal128(20, 0),
        "status": pa.int32(),
    }
    return {name: known[name] for name in columns}


def storage_options(endpoint):
    """Options of deltalake and polars."""
    if not endpoint:
        return {}
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_CONDITIONAL_PUT": "etag",
    }


def file_system(endpoint):
    """pyarrow's file system."""
    if not endpoint:
        return pyarrow.fs.LocalFileSystem()
    return pyarrow.fs.S3FileSystem(access_key="test", secret_key="test", endpoint_override=endpoint, region="us-east-1")


def path(url):
    """The path of a URL in that file system."""
    return url.removeprefix("file://").removeprefix("s3://")
