#!/usr/bin/env python3
"""Packs a built program as a Python wheel, so that `pip install` gives the command `shardflight`. Needs Python alone; the same input gives the same
bytes.

    wheel.py BINARY --platform PLATFORM [--sbom FILE] [--out DIRECTORY]

PLATFORM is what pip calls a platform: `manylinux_2_17_x86_64.musllinux_1_1_x86_64` for a static binary, which runs on both.
"""

import argparse
import base64
import hashlib
import pathlib
import tomllib
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# the first moment that a zip file can name
THEN = (1980, 1, 1, 0, 0, 0)


def version():
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


def metadata(number):
    lines = [
        "Metadata-Version: 2.4",
        "Name: shardflight",
        f"Version: {number}",
        "Summary: SQL over Amazon Kinesis Data Streams through Arrow Flight SQL",
        "License-Expression: Apache-2.0",
        "License-File: LICENSE",
        "Requires-Python: >=3.8",
        "Description-Content-Type: text/markdown",
        "",
        "The program `shardflight`: an Arrow Flight SQL server over Amazon Kinesis Data Streams, and its client.",
        "",
        "    shardflight demo",
        "",
    ]
    return "\n".join(lines).encode()


def tags(platform):
    return "".join(f"Tag: py3-none-{part}\n" for part in platform.split("."))


def pack(binary, platform, sbom, out, level):
    number = version()
    info, data = f"shardflight-{number}.dist-info", f"shardflight-{number}.data"
    files = [
        (f"{data}/scripts/shardflight", binary.read_bytes(), 0o755),
        (f"{info}/METADATA", metadata(number), 0o644),
        (f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: shardflight\nRoot-Is-Purelib: false\n{tags(platform)}".encode(), 0o644),
        (f"{info}/licenses/LICENSE", (ROOT / "LICENSE").read_bytes(), 0o644),
    ]
    if sbom:
        # where PEP 770 looks for it
        files.append((f"{info}/sboms/{sbom.name}", sbom.read_bytes(), 0o644))
    record = [f"{name},sha256={digest(content)},{len(content)}\n" for name, content, _ in files]
    record.append(f"{info}/RECORD,,\n")
    files.append((f"{info}/RECORD", "".join(record).encode(), 0o644))
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"shardflight-{number}-py3-none-{platform}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as wheel:
        for name, content, mode in files:
            entry = zipfile.ZipInfo(name, THEN)
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, content, compresslevel=level)
    return path


def digest(content):
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def main():
    arguments = argparse.ArgumentParser(description="a wheel around a built program")
    arguments.add_argument("binary", type=pathlib.Path)
    arguments.add_argument("--platform", required=True)
    arguments.add_argument("--sbom", type=pathlib.Path)
    arguments.add_argument("--out", type=pathlib.Path, default=pathlib.Path("."))
    arguments.add_argument("--level", type=int, default=9, help="of compression")
    given = arguments.parse_args()
    print(pack(given.binary, given.platform, given.sbom, given.out, given.level))


if __name__ == "__main__":
    main()
