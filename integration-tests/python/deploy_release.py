"""What a release holds, made by its scripts around a program that is built already. Arguments: the directory deploy/, the program, a directory."""

import base64
import csv
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile

import cyclonedx
import jsonschema
import referencing

import checks


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    checks.equal(done.returncode, 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def schema(name):
    return json.loads((pathlib.Path(cyclonedx.__file__).parent / "schema/_res" / name).read_text())


def check_the_bill_of_materials(deploy, program, directory):
    text = run(deploy / "release/sbom.py")
    checks.equal(run(deploy / "release/sbom.py"), text, "made again, it is the same")
    bom = json.loads(text)
    parts = [schema(f"{name}.SNAPSHOT.schema.json") for name in ("spdx", "jsf-0.82")]
    registry = referencing.Registry().with_resources([(part["$id"], referencing.Resource.from_contents(part)) for part in parts])
    jsonschema.Draft7Validator(schema("bom-1.5.SNAPSHOT.schema.json"), registry=registry).validate(bom)
    names = {component["name"] for component in bom["components"]}
    checks.equal({"datafusion", "arrow-flight", "tonic", "aws-sdk-kinesis", "catalog", "shard-reader"} - names, set(), "what the program is made of")
    checks.equal({"integration-tests", "sqllogictest", "criterion", "proptest"} & names, set(), "what only tests need")
    lock = tomllib.loads((deploy.parent / "Cargo.lock").read_text())
    locked = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}
    for component in bom["components"]:
        wanted = locked[component["name"], component["version"]]
        checks.equal([entry["content"] for entry in component.get("hashes", [])], [wanted] if wanted else [], component["purl"])
        checks.equal(bool(component["licenses"]), True, f"{component['purl']} has a licence")
    references = {component["bom-ref"] for component in bom["components"]} | {bom["metadata"]["component"]["bom-ref"]}
    for dependency in bom["dependencies"]:
        checks.equal(set(dependency["dependsOn"]) - references, set(), dependency["ref"])
    (directory / "shardflight.cdx.json").write_text(text)


def check_the_wheel_gives_the_command(deploy, program, directory):
    platform = re.sub(r"[-.]", "_", sysconfig.get_platform())
    wheel = run(deploy / "release/wheel.py", program, "--platform", platform, "--sbom", directory / "shardflight.cdx.json", "--out", directory,
                "--level", "1").strip()
    with zipfile.ZipFile(wheel) as archive:
        record = next(name for name in archive.namelist() if name.endswith("/RECORD"))
        rows = list(csv.reader(io.StringIO(archive.read(record).decode())))
        checks.equal(sorted(row[0] for row in rows), sorted(archive.namelist()), "RECORD names every file")
        for name, digest, size in rows:
            if name != record:
                content = archive.read(name)
                checks.equal(digest, "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode(), name)
                checks.equal(int(size), len(content), name)
    environment = directory / "environment"
    venv.create(environment, with_pip=True)
    run(environment / "bin/pip", "install", "--no-index", "--no-input", wheel)
    command = environment / "bin/shardflight"
    version = tomllib.loads((deploy.parent / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    checks.equal(run(command, "--version").strip(), f"shardflight {version}", "version")
    answer = run(command, "demo", "--once", env={"PATH": os.environ["PATH"], "HOME": str(directory)})
    for number in ("20395584", "18750653", "20000", "321739411"):
        checks.equal(re.search(rf"\b{number}\b", answer) is not None, True, f"the demo prints {number}")
    run(environment / "bin/pip", "uninstall", "--yes", "shardflight")
    checks.equal(command.exists(), False, "uninstalled")
    os.remove(wheel)


def check_the_build_script_is_bash(deploy, program, directory):
    run("bash", "-n", deploy / "release/build")


if __name__ == "__main__":
    checks.run(globals(), *(pathlib.Path(argument) for argument in sys.argv[1:]))
