"""Messages of every kind of field, written and read again by Google's Python library (`pip install protobuf grpcio-tools`), which also reads the feed."""

import importlib.resources
import json
import random
import struct
import subprocess
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.encoder import _VarintBytes

HERE = Path(__file__).parent


def messages(descriptor: Path) -> dict:
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor.read_bytes())
    return message_factory.GetMessages(list(files.file), pool=descriptor_pool.DescriptorPool())


def place(rng: random.Random, message, depth: int) -> None:
    message.name = rng.choice(["Zürich", "", 'a "quoted"\nplace'])
    message.latitude = rng.choice([0.0, rng.uniform(-90, 90)])
    if rng.random() < 0.5:
        message.suit = rng.choice([0, 1, 7])
    if depth and rng.random() < 0.7:
        place(rng, message.within, depth - 1)


def fill(rng: random.Random, message) -> None:
    def often() -> bool:
        return rng.random() < 0.7

    if often():
        message.double_value = rng.uniform(-1e200, 1e200)
        message.float_value = struct.unpack("<f", struct.pack("<f", rng.uniform(-1e6, 1e6)))[0]
        message.int32_value = rng.choice([-1, 2**31 - 1, -(2**31)])
        message.int64_value = rng.choice([-1, 2**63 - 1, -(2**63)])
        message.uint32_value = 2**32 - 1
        message.uint64_value = rng.choice([1, 2**64 - 1])
    if often():
        message.sint32_value = rng.choice([-1, 2**31 - 1, -(2**31)])
        message.sint64_value = rng.choice([-1, 2**63 - 1, -(2**63)])
        message.fixed32_value = 2**32 - 1
        message.fixed64_value = 2**64 - 1
        message.sfixed32_value = -5
        message.sfixed64_value = -(2**63)
        message.bool_value = True
        message.string_value = rng.choice(["grüße", "x" * 300])
        message.bytes_value = rng.randbytes(5)
        message.suit = rng.choice([0, 1, 9])
    if rng.random() < 0.5:
        message.maybe = rng.choice([0, 5])
    message.packed.extend(rng.randrange(-(10**12), 10**12) for _ in range(rng.randrange(4)))
    message.loose.extend(rng.uniform(-1, 1) for _ in range(rng.randrange(4)))
    message.texts.extend(rng.choice(["", "a", "ü"]) for _ in range(rng.randrange(3)))
    message.suits.extend(rng.choice([0, 1]) for _ in range(rng.randrange(3)))
    for key in rng.sample(["a", "b", "ü"], rng.randrange(4)):
        message.counts[key] = rng.choice([0, -7, 2**63 - 1])
    for key in rng.sample([-1, 0, 5], rng.randrange(3)):
        place(rng, message.places[key], 1)
    if often():
        place(rng, message.place, 3)
    match rng.randrange(4):
        case 0:
            message.name = rng.choice(["", "chosen"])
        case 1:
            place(rng, message.spot, 1)
        case 2:
            message.number = rng.choice([0, 2**64 - 1])
    if often():
        message.at.seconds = rng.randrange(-(10**9), 2 * 10**9)
        message.at.nanos = rng.choice([0, 5, 120_000_000, 999_999_999])
        message.took.seconds = rng.choice([3, -4])
        message.took.nanos = 500_000_000 if message.took.seconds >= 0 else -500_000_000
    if rng.random() < 0.5:
        message.wrapped.value = rng.choice([0, -9])
        message.wrapped_text.value = ""
    for _ in range(rng.randrange(3)):
        place(rng, message.route.add(), 0)


def symbol(field, number: int):
    value = field.enum_type.values_by_number.get(number)
    return value.name if value else str(number)


def scalar(field, value):
    if field.enum_type is not None:
        return symbol(field, value)
    if field.message_type is not None:
        return shown(value)
    return value.hex() if isinstance(value, bytes) else value


def shown(message):
    """Set fields by name; others have what their type says of a field that is not set."""
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        return [message.seconds, message.nanos]
    if name == "google.protobuf.Duration":
        return message.ToJsonString()
    if name.endswith("Value") and name.startswith("google.protobuf"):
        return message.value
    out = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            kind = field.message_type.fields_by_name["value"]
            out[field.name] = {str(key): scalar(kind, value[key]) for key in value}
        elif field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED:
            out[field.name] = [scalar(field, item) for item in value]
        elif field.has_presence and not message.HasField(field.name):
            out[field.name] = None
        else:
            out[field.name] = scalar(field, value)
    return out


def brief(value):
    """Without what is not set."""
    if isinstance(value, dict):
        return {key: brief(item) for key, item in value.items() if item not in (None, [])}
    return value


def main() -> None:
    include = importlib.resources.files("grpc_tools") / "_proto"
    arguments = ["--include_imports", f"-I{HERE}", f"-I{include}", f"--descriptor_set_out={HERE / 'every.desc'}", "every.proto"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)
    every = messages(HERE / "every.desc")["test.Every"]
    rng = random.Random(7)
    made = []
    for _ in range(60):
        message = every()
        fill(rng, message)
        made.append(message)
    # Of parts that are written one after the other the scalars of the last count, messages are merged, and the last member of a oneof stands.
    joined = [made[index].SerializeToString() + made[index + 1].SerializeToString() for index in range(20)]
    feed = messages(HERE / "gtfs-realtime.desc")["transit_realtime.FeedMessage"].FromString((HERE / "VehiclePositions.pb").read_bytes())
    (HERE / "VehiclePositions.delimited").write_bytes(
        b"".join(_VarintBytes(len(data)) + data for data in (entity.SerializeToString() for entity in feed.entity))
    )
    (HERE / "expected.json").write_text(
        json.dumps(
            {
                "messages": [{"hex": message.SerializeToString().hex(), "fields": shown(message)} for message in made],
                "joined": [{"hex": data.hex(), "fields": shown(every.FromString(data))} for data in joined],
                "feed": {"timestamp": feed.header.timestamp, "version": feed.header.gtfs_realtime_version},
                "entities": [brief(shown(entity)) for entity in feed.entity],
            },
            ensure_ascii=False,
        )
        + "\n"
    )


main()
