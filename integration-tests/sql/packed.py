"""Writes records/packed.jsonl, records/wrapped.ndjson and packed.slt: aggregated and compressed records, and the rows that they must give.

The aggregates are written here by hand from the protobuf wire format (https://protobuf.dev/programming-guides/encoding) and KPL's aggregation-format.md,
the compressed bytes by Python's gzip and zlib, and by hand from RFC 8878. Nothing here comes from the program under test.
"""

import base64
import gzip
import hashlib
import json
import zlib
from pathlib import Path

import generate

HERE = Path(__file__).resolve().parent
SHARDS = 2
WIDTH = 2**128 // SHARDS


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def aggregate(users):
    """users: (partition key, explicit hash key or None, payload)."""
    keys, hashes, records = [], [], b""
    for key, explicit, payload in users:
        if key not in keys:
            keys.append(key)
        record = field(1, keys.index(key))
        if explicit is not None:
            if explicit not in hashes:
                hashes.append(explicit)
            record += field(2, hashes.index(explicit))
        records += field(3, record + field(3, payload))
    message = b"".join(field(1, key.encode()) for key in keys) + b"".join(field(2, str(key).encode()) for key in hashes) + records
    return b"\xf3\x89\x9a\xc2" + message + hashlib.md5(message).digest()


def packed_gzip(data):
    return gzip.compress(data, mtime=0)


def zstd(data):
    """One frame with one raw block, its size in one byte."""
    block = (len(data) << 3 | 1).to_bytes(3, "little")
    return bytes.fromhex("28b52ffd") + bytes([0x20, len(data)]) + block + data


def md5(key):
    return int.from_bytes(hashlib.md5(key.encode()).digest(), "big")


def key_in(shard, number):
    """A partition key whose hash lies in a shard."""
    return next(key for key in (f"key-{number}-{suffix}" for suffix in range(1000)) if md5(key) // WIDTH == shard)


class Stream:
    """Records, and the rows they must give: (shard, record, sub, key, in range, aggregate stays, payload, id or None)."""

    def __init__(self):
        self.records, self.rows = [], []

    def plain(self, shard, payload, number):
        key = key_in(shard, len(self.records))
        self.rows.append((shard, len(self.records), 0, key, True, True, payload, number))
        self.records.append((shard, key, payload))

    def aggregate(self, shard, users, damage=False):
        """users: (partition key, explicit hash key, payload, id)."""
        payload = aggregate([user[:3] for user in users])
        if damage:
            payload = payload[:20] + bytes([payload[20] ^ 1]) + payload[21:]
            self.plain(shard, payload, None)
            return
        ranges = [(md5(key) if explicit is None else explicit) // WIDTH == shard for key, explicit, _, _ in users]
        for sub, (user, in_range) in enumerate(zip(users, ranges)):
            self.rows.append((shard, len(self.records), sub, user[0], in_range, all(ranges), user[2], user[3]))
        self.records.append((shard, "a", payload))


def document(number):
    return json.dumps({"id": number, "text": f"text {number % 7}"}).encode()


def packed():
    stream = Stream()
    numbers = iter(range(1, 10_000))

    def user(shard, pack=lambda data: data, explicit=None, key=None):
        number = next(numbers)
        return key or key_in(shard, number), explicit, pack(document(number)), number

    number = next(numbers)
    stream.plain(0, document(number), number)
    stream.aggregate(0, [user(0), user(1, packed_gzip, explicit=0), user(0, zlib.compress)])
    stream.aggregate(1, [user(1, key="the same"), user(1, key="the same", explicit=2**128 - 1), user(1, zstd)])
    # one of three belongs to the other shard, and all of an aggregate
    stream.aggregate(1, [user(1), user(1), user(0)])
    stream.aggregate(1, [user(0), user(1, explicit=5)])
    number = next(numbers)
    stream.plain(0, packed_gzip(document(number)[:9]) + packed_gzip(document(number)[9:]), number)
    stream.aggregate(0, [user(0), user(0)], damage=True)
    stream.plain(1, packed_gzip(document(9_000))[:-6], None)
    stream.plain(0, b"x^2", None)
    stream.aggregate(0, [user(0, lambda data: packed_gzip(data)[:-1]), user(0)])
    stream.rows[-2] = (*stream.rows[-2][:7], None)
    stream.aggregate(1, [user(1)])
    stream.aggregate(0, [user(0, packed_gzip if sub % 5 == 0 else lambda data: data) for sub in range(700)])
    stream.aggregate(1, [user(1) for _ in range(300)])
    number = next(numbers)
    stream.plain(1, zlib.compress(document(number)), number)
    return stream


def cases(stream):
    """(types, statement, rows)."""
    rows = stream.rows
    ids = [row[7] for row in rows]
    shard_id = generate.shard_id
    yield "I", "select count(*) from packed", [(len(rows),)]
    yield "III", "select count(id), min(id), max(id) from packed", [(sum(i is not None for i in ids), 1, max(i for i in ids if i))]
    yield "I", "select sum(id) from packed", [(sum(i or 0 for i in ids),)]
    yield "TI", "select text, count(*) from packed where text is not null group by text", \
        [(f"text {n}", sum(i is not None and i % 7 == n for i in ids)) for n in range(7)]
    yield "I", "select count(*) from packed where not _message_valid", [(ids.count(None),)]
    yield "I", "select count(*) from packed where _message_error like 'gzip: damaged: %'", [(2,)]
    yield "TI", "select _shard_id, count(*) from packed group by _shard_id", [(shard_id(n), sum(row[0] == n for row in rows)) for n in range(SHARDS)]
    yield "II", "select count(distinct _shard_sequence_id), count(distinct _row_id) from packed", [(len(stream.records), len(rows))]
    yield "I", "select count(*) as n from packed group by _shard_sequence_id", \
        [(sum(row[1] == record for row in rows),) for record in range(len(stream.records))]
    yield "II", "select _sub_sequence, count(*) from packed where _sub_sequence < 4 or _sub_sequence > 698 group by _sub_sequence", \
        [(sub, sum(row[2] == sub for row in rows)) for sub in [0, 1, 2, 3, 699]]
    yield "TII", "select _partition_key, _sub_sequence, id from packed where _partition_key = 'the same'", [(row[3], row[2], row[7]) for row in rows if row[3] == "the same"]
    yield "IT", "select id, _partition_key from packed where id between 2 and 12", [(row[7], row[3]) for row in rows if row[7] and 2 <= row[7] <= 12]
    yield "III", "select id, _sub_sequence, _message_length from packed where id < 20", [(row[7], row[2], len(row[6])) for row in rows if row[7] and row[7] < 20]
    for number in [3, 7, 14, 20]:
        payload = next((row[6] for row in rows if row[7] == number), None)
        yield "T", f"select encode(_message, 'base64') from packed where id = {number}", \
            [] if payload is None else [(base64.b64encode(payload).decode().rstrip("="),)]
    for number in range(SHARDS):
        inside = [(row[7], row[2]) for row in rows if row[0] == number and row[7] is not None][:15]
        yield "II", f"select id, _sub_sequence from packed where _shard_id = '{shard_id(number)}' and id is not null order by _row_id limit 15", inside
    yield "I", "select count(*) from (select id from packed limit 5) as few", [(5,)]
    yield "I", "select count(*) from (select id from packed where _sub_sequence > 100 limit 500) as few", [(500,)]
    yield "II", "select max(_segment_count), count(distinct _segment_count) from packed", [(max(sum(row[0] == n for row in rows) for n in range(SHARDS)),) * 2]
    yield "BI", "select _hash_in_range, count(*) from packed group by _hash_in_range", [(kind, sum(row[4] == kind for row in rows)) for kind in [False, True]]
    yield "I", "select id from packed where not _hash_in_range", [(row[7],) for row in rows if not row[4]]
    kept = [row for row in rows if row[5]]
    hint = "/*+ kpl_dedup='hash_range' */ "
    yield "I", hint + "select count(*) from packed", [(len(kept),)]
    yield "I", hint + "select sum(id) from packed", [(sum(row[7] or 0 for row in kept),)]
    yield "I", hint + "select id from packed where id < 20", [(row[7],) for row in kept if row[7] and row[7] < 20]
    yield "I", hint + "select count(*) from packed where not _hash_in_range", [(0,)]
    yield "I", "/*+ kpl_dedup='hash_range', bad_records='skip' */ select count(*) from packed", [(sum(row[7] is not None for row in kept),)]
    yield "I", "/*+ bad_records='skip' */ select count(*) from packed", [(sum(i is not None for i in ids),)]
    yield "I", "/*+ kpl_dedup='none' */ select count(*) from packed", [(len(rows),)]
    yield "IB", "select id, _message_valid from wrapped", [(1, True), (2, True), (None, False), (None, False)]


def main():
    stream = packed()
    lines = [
        json.dumps({"hash": str(shard * WIDTH), "key": key, "data": base64.b64encode(payload).decode()}) for shard, key, payload in stream.records
    ]
    (HERE / "records" / "packed.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    wrapped = [
        base64.b64encode(gzip.compress(document(1), mtime=0)),
        base64.urlsafe_b64encode(gzip.compress(document(2), mtime=0)).rstrip(b"="),
        base64.b64encode(document(3)),
        document(4),
    ]
    (HERE / "records" / "wrapped.ndjson").write_text("".join(line.decode() + "\n" for line in wrapped), encoding="utf-8")
    parts = ["# Written by packed.py.\n", *(generate.record(*case) for case in cases(stream))]
    parts.append("statement error none of none, hash_range\n/*+ kpl_dedup='maybe' */ select 1\n")
    (HERE / "packed.slt").write_text("\n".join(parts), encoding="utf-8")
    print(f"{len(stream.records)} records, {len(stream.rows)} rows, {len(parts) - 1} cases")


if __name__ == "__main__":
    main()
