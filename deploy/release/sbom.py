#!/usr/bin/env python3
"""Writes what the program is made of, as a CycloneDX 1.5 document, to stdout: every crate that is linked into it, with licence, checksum and what it
needs. From `cargo metadata` and Cargo.lock; needs cargo and nothing from a network that the build does not need.

    sbom.py [--target TRIPLE] > shardflight.cdx.json
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tomllib
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = "flight-server"


def metadata(target):
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def host():
    version = subprocess.run(["rustc", "-vV"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return next(line.split()[1] for line in version.splitlines() if line.startswith("host:"))


def linked(nodes, root):
    """Ids of everything below the root that is no dependency of tests, and what each of them needs."""
    needs, waiting = {}, [root]
    while waiting:
        package = waiting.pop()
        if package in needs:
            continue
        deps = nodes[package]["deps"]
        # a kind of null is a normal dependency; a build script's is part of how the program came to be
        needs[package] = sorted({dep["pkg"] for dep in deps if any(kind["kind"] != "dev" for kind in dep["dep_kinds"])})
        waiting.extend(needs[package])
    return needs


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums, kind):
    found = {"type": kind, "bom-ref": purl(package), "name": package["name"], "version": package["version"], "purl": purl(package)}
    if package["description"]:
        found["description"] = package["description"].strip()
    if package["license"]:
        # crates once wrote `MIT/Apache-2.0`
        found["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return found


def document(target):
    known = metadata(target)
    packages = {package["id"]: package for package in known["packages"]}
    nodes = {node["id"]: node for node in known["resolve"]["nodes"]}
    root = next(id for id, package in packages.items() if package["name"] == PROGRAM)
    needs = linked(nodes, root)
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(package["name"], package["version"]): package["checksum"] for package in lock["package"] if "checksum" in package}
    references = sorted((purl(packages[id]), id) for id in needs)
    parts = [component(packages[id], checksums, "library") for _, id in references if id != root]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        # the same parts give the same document
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, target + json.dumps(parts, sort_keys=True))}",
        "version": 1,
        "metadata": {
            "component": {**component(packages[root], checksums, "application"), "name": "shardflight"},
            "properties": [{"name": "target", "value": target}],
        },
        "components": parts,
        "dependencies": [{"ref": reference, "dependsOn": [purl(packages[need]) for need in needs[id]]} for reference, id in references],
    }


def main():
    arguments = argparse.ArgumentParser(description="CycloneDX document of the program, to stdout")
    arguments.add_argument("--target", default=None, help="what it is built for [default: this machine]")
    target = arguments.parse_args().target or host()
    json.dump(document(target), sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
