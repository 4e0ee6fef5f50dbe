"""Configurations of deploy/, read by the program itself. Arguments: the program, the directory deploy/, a directory of what the chart makes."""

import pathlib
import re
import subprocess
import sys

import yaml

import checks

# `health` reads a configuration as `serve` does, and nobody listens here.
NOBODY = {"SHARDFLIGHT_HTTP": "127.0.0.1:1"}


def read(program, config, environment):
    """The message with which the program ends, having read its configuration."""
    command = [program, "health"] + (["--config", config] if config else [])
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env={**environment, **NOBODY})
    checks.equal(done.returncode, 1, f"{config}: {done.stdout}{done.stderr}")
    return done.stderr


def accepted(program, config, environment, what):
    message = read(program, config, environment)
    checks.equal("http://127.0.0.1:1/readyz does not answer" in message, True, f"{what}: {message}")


def check_what_the_chart_makes(program, deploy, directory):
    cases = sorted(directory.glob("*.yaml"))
    checks.equal(len(cases) > 3, True, f"cases: {cases}")
    token = {"SHARDFLIGHT_CLUSTER__TOKEN": "x" * 32, "SHARDFLIGHT_CLUSTER__ADDRESS": "10.0.0.7:32011"}
    for case in cases:
        clustered = "cluster:" in case.read_text()
        accepted(program, case, token if clustered else {}, case.name)


def check_a_wrong_one_is_seen(program, deploy, directory):
    wrong = directory / "wrong"
    wrong.write_text((directory / "alone.yaml").read_text() + "lissten: 0.0.0.0:1\n")
    message = read(program, wrong, {})
    checks.equal("lissten" in message, True, message)


def check_composes(program, deploy, directory):
    project = yaml.safe_load(re.sub(r"\$\{\w+(?::-([^}]*))?\}", r"\1", (deploy / "compose/compose.yaml").read_text()))
    for name in ("aws", "local"):
        environment = {key: str(value) for key, value in project["services"][name]["environment"].items()}
        accepted(program, deploy / "compose/shardflight.yaml", environment, name)


def check_terraforms(program, deploy, directory):
    # what stands there, with something in the place of each expression
    environment = {}
    for file in ("service.tf", "cluster.tf"):
        text = (deploy / "terraform" / file).read_text()
        for name, value in re.findall(r"\b(SHARDFLIGHT_\w+)\s*=\s*([^\n}]+(?:\}[^\n}]*)*)", text):
            value = re.sub(r"\$\{[^}]*\}", "x", value.strip().rstrip("},").strip())
            quoted = re.match(r'"([^"]*)"', value)
            environment[name] = quoted.group(1) if quoted else '["s3://lake/x"]' if "_ALLOW__" in name else "something"
    of_cluster = {name: value for name, value in environment.items() if "_CLUSTER__" in name}
    checks.equal(len(of_cluster), 3, f"{of_cluster}")
    alone = {name: value for name, value in environment.items() if name not in of_cluster}
    checks.equal(len(alone) > 8, True, f"{alone}")
    accepted(program, None, alone, "Terraform's variables")
    accepted(program, None, {**environment, "SHARDFLIGHT_CLUSTER__TOKEN": "x" * 32}, "Terraform's variables of a cluster")


if __name__ == "__main__":
    checks.run(globals(), *(pathlib.Path(argument) for argument in sys.argv[1:]))
