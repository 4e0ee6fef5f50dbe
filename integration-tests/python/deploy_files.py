"""The files of deploy/ that are no chart and no dashboard. Argument: the directory deploy/."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import compose_spec
import hcl2
import yaml

import checks

STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks"


def run(*command, **more):
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, **more)
    checks.equal(done.returncode, 0, f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def stages(containerfile):
    """Instructions of each stage: [(instruction, rest)]."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", containerfile.read_text()))
    found = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest.strip()))
    return found


def check_the_container_file(deploy):
    hadolint = pathlib.Path(sys.executable).with_name("hadolint")
    # DL3008: Debian keeps no old versions, so a pinned one is soon gone.
    run(hadolint, "--ignore", "DL3008", "--failure-threshold", "info", deploy / "Containerfile")
    build, image = stages(deploy / "Containerfile")
    instructions = dict(image)
    checks.equal(instructions["USER"], "10001", "a user without rights, by number, as Kubernetes wants it")
    checks.equal(json.loads(instructions["ENTRYPOINT"]), ["/usr/local/bin/shardflight"], "entry point")
    checks.equal(instructions["HEALTHCHECK"].split("CMD ")[1].startswith('["/usr/local/bin/shardflight", "health"'), True, "the program asks itself")
    checks.equal(instructions["EXPOSE"].split(), ["32010", "8080"], "ports")
    checks.equal([rest for word, rest in image if word in ("COPY", "ADD")], [
        "--from=build /out/shardflight /usr/local/bin/shardflight",
        "--from=build /out/shardflight.cdx.json /usr/share/doc/shardflight/shardflight.cdx.json",
    ], "nothing but the program and what it is made of")
    checks.equal("slim" in instructions["FROM"], True, "a small base")
    steps = " ".join(rest for word, rest in build if word == "RUN")
    checks.equal("--locked" in steps and "--release" in steps, True, "the build is of the lock file")
    toolchain = re.search(r'rust-version = "([\d.]+)"', (deploy.parent / "Cargo.toml").read_text()).group(1)
    checks.equal(f"rust:{toolchain}-" in dict(build)["FROM"], True, "the compiler is that of the workspace")
    install = next(rest for word, rest in image if word == "RUN")
    checks.equal("--no-install-recommends" in install and "rm -rf /var/lib/apt/lists" in install, True, "nothing is left of apt")


def interpolated(text):
    """As Compose does it, with an environment of nothing but HOME."""
    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", lambda match: match.group(2) or {"HOME": "/home/somebody"}[match.group(1)], text)


def check_compose(deploy):
    directory = deploy / "compose"
    text = interpolated((directory / "compose.yaml").read_text())
    project = yaml.safe_load(text)
    compose_spec.PyCompose.from_yaml(yaml.safe_dump({key: value for key, value in project.items() if not key.startswith("x-")}))
    services = project["services"]
    profiles = {profile for service in services.values() for profile in service["profiles"]}
    checks.equal(profiles, {"aws", "local"}, "profiles")
    for name, service in services.items():
        for published in service.get("ports", []):
            checks.equal(published.startswith("127.0.0.1:"), True, f"{name}: {published} is this machine's alone")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                checks.equal((directory / source).exists(), True, f"{name}: {source}")
            elif not source.startswith("/"):
                checks.equal(source in project["volumes"], True, f"{name}: volume {source}")
        needed = list(service.get("depends_on", {})) + re.findall(r"^service:(\w+)$", service.get("network_mode", ""))
        for other in needed:
            checks.equal(set(service["profiles"]) <= set(services[other]["profiles"]), True, f"{name}: {other} is in its profiles")
        if "build" in service:
            context = (directory / service["build"]["context"]).resolve()
            checks.equal((context / service["build"]["dockerfile"]).exists(), True, f"{name}: container file")
        if "image" in service:
            checks.equal(re.search(r":[v\d][\w.]*$", service["image"]) is not None, True, f"{name}: {service['image']} is of one version")


def check_scraping(deploy):
    config = yaml.safe_load((deploy / "prometheus/prometheus.yml").read_text())
    project = yaml.safe_load((deploy / "compose/compose.yaml").read_text())
    mounts = [volume.split(":")[1] for volume in project["services"]["prometheus"]["volumes"]]
    for file in config["rule_files"]:
        checks.equal(file in mounts, True, f"{file} is mounted")
    server = yaml.safe_load((deploy / "compose/shardflight.yaml").read_text())
    for scrape in config["scrape_configs"]:
        for static in scrape["static_configs"]:
            for target in static["targets"]:
                host, port = target.split(":")
                checks.equal(server["http"].endswith(f":{port}"), True, target)
                aliases = [alias for service in project["services"].values() if isinstance(service.get("networks"), dict)
                           for alias in service["networks"]["default"].get("aliases", [])]
                checks.equal(host in aliases, True, f"{host} is somebody's name")
    sources = yaml.safe_load((deploy / "grafana/provisioning/datasources/datasources.yaml").read_text())["datasources"]
    flight = next(source for source in sources if source["uid"] == "shardflight")
    checks.equal(flight["jsonData"]["host"].split(":")[1], server["listen"].split(":")[1], "Grafana asks where the server listens")


def check_alerts_are_complete(deploy):
    names = []
    for group in yaml.safe_load((deploy / "helm/shardflight/alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            names.append(rule["alert"])
            checks.equal(rule["labels"]["severity"] in ("critical", "warning", "info"), True, f"{rule['alert']}: severity")
            checks.equal(bool(rule["annotations"]["summary"]), True, f"{rule['alert']}: summary")
    checks.equal(len(names), len(set(names)), "names")


def check_policies(deploy):
    sids = []
    for file in sorted(deploy.glob("iam-policy-*.json")):
        policy = json.loads(file.read_text())
        checks.equal(policy["Version"], "2012-10-17", file.name)
        for statement in policy["Statement"]:
            sids.append((file.name, statement["Sid"]))
            actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            checks.equal(any("*" in action for action in actions), False, f"{file.name}: {actions}")
            checks.equal(statement["Resource"] == "*", False, f"{file.name}: all resources")
    checks.equal(len(sids), len(set(sids)), "names of statements")


def check_the_unit(deploy):
    unit = deploy / "systemd/shardflight.service"
    text = unit.read_text()
    for line in ("DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "StateDirectory=shardflight", "Restart=on-failure"):
        checks.equal(f"\n{line}\n" in text, True, line)
    # memory shares are of what /proc says
    checks.equal("ProcSubset" in text, False, "/proc/meminfo can be read")
    if not shutil.which("systemd-analyze"):
        print("no systemd-analyze: the unit was not verified")
        return
    with tempfile.TemporaryDirectory() as directory:
        # the program need not be installed to see that the rest is right
        copy = pathlib.Path(directory) / unit.name
        copy.write_text(text.replace("/usr/local/bin/shardflight", "/bin/true"))
        done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
        ours = [line for line in done.stderr.splitlines() if unit.name in line]
        checks.equal(ours, [], "systemd-analyze verify")
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", copy], capture_output=True, text=True)
        checks.equal(done.returncode, 0, f"exposure of at most 2.0: {done.stdout[-300:]}{done.stderr}")


def check_terraform_parses(deploy):
    declared, used = set(), set()
    for file in sorted((deploy / "terraform").glob("*.tf")):
        text = file.read_text()
        parsed = hcl2.loads(text)
        declared |= {name.strip('"') for variable in parsed.get("variable", []) for name in variable if not name.startswith("__")}
        used |= set(re.findall(r"\bvar\.(\w+)", text))
        for kind, name in re.findall(r"\b(aws_\w+)\.(\w+)\.", text):
            everywhere = "".join(other.read_text() for other in (deploy / "terraform").glob("*.tf"))
            found = f'resource "{kind}" "{name}"' in everywhere or f'data "{kind}" "{name}"' in everywhere
            checks.equal(found, True, f"{file.name}: {kind}.{name} is declared")
        if shutil.which("terraform"):
            run("terraform", "fmt", "-check", "-diff", file)
    checks.equal(used, declared, "variables that are declared, and used")


def check_terraforms_policies(deploy):
    """The locals of iam.tf, evaluated without a provider: the statements of the policies, with the module's resources."""
    if not shutil.which("terraform"):
        print("no terraform: its expressions were not evaluated")
        return
    with tempfile.TemporaryDirectory() as directory:
        module = pathlib.Path(directory) / "terraform"
        module.mkdir()
        for policy in deploy.glob("iam-policy-*.json"):
            shutil.copy(policy, directory)
        shutil.copy(deploy / "terraform/variables.tf", module)
        text = (deploy / "terraform/iam.tf").read_text()
        text = text[: text.index('data "aws_partition"')]
        text = text.replace("${data.aws_partition.current.partition}", "aws").replace("aws_dynamodb_table.checkpoints.arn", '"TABLE"')
        groups = ["read", "write", "checkpoint", "catalog", "segment", "lake", "key"]
        text += 'output "statements" {\n value = concat(' + ", ".join(f"local.{group}_statements" for group in groups) + ")\n}\n"
        (module / "iam.tf").write_text(text)
        values = {"image": "i", "stream_arns": [STREAM], "vpc_id": "v", "subnet_ids": [], "client_cidrs": [], "certificate_arn": "c",
                  "catalog": {"bucket": "lake", "prefix": "tables"}}
        more = {"write": True, "fan_out_consumer": "sql", "kms_key_arns": ["KEY"], "segments": {"bucket": "lake", "prefix": "segments"},
                "lake": {"bucket": "lake", "read": ["history"], "write": ["exports"]}}
        environment = {**os.environ, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}

        def statements(values):
            (module / "terraform.tfvars.json").write_text(json.dumps(values))
            run("terraform", "init", "-backend=false", "-input=false", cwd=module, env=environment)
            run("terraform", "apply", "-auto-approve", "-input=false", cwd=module, env=environment)
            return json.loads(run("terraform", "output", "-json", "statements", cwd=module, env=environment))

        least = statements(values)
        checks.equal([statement["Sid"] for statement in least], ["ReadStreams", "KeepCheckpoints", "ListDefinitions", "ReadDefinitions"], "the least")
        checks.equal(least[0]["Resource"], [STREAM], "streams")
        checks.equal(least[2]["Condition"], {"StringLikeIfExists": {"s3:prefix": "tables/*"}}, "the prefix alone is listed")
        checks.equal(least[3]["Resource"], "arn:aws:s3:::lake/tables/*", "definitions")
        most = statements({**values, **more})
        names = ["ReadStreams", "FanOut", "Write", "KeepCheckpoints", "ListDefinitions", "ReadDefinitions", "ListSegments", "ShareSegments",
                 "ListLake", "ReadLake", "WriteLake", "UseKey"]
        checks.equal([statement["Sid"] for statement in most], names, "the most")
        checks.equal(most[1]["Resource"], [STREAM, f"{STREAM}/consumer/*"], "fan-out")
        checks.equal(most[8]["Resource"], ["arn:aws:s3:::lake"], "the lake's bucket")
        checks.equal(most[8]["Condition"], {"StringLikeIfExists": {"s3:prefix": ["history/*", "exports/*"]}}, "its prefixes alone are listed")
        checks.equal(most[9]["Resource"], ["arn:aws:s3:::lake/history/*", "arn:aws:s3:::lake/exports/*"], "who writes reads, too")
        checks.equal(most[10]["Resource"], ["arn:aws:s3:::lake/exports/*"], "where jobs write")
        checks.equal(most[11]["Action"], ["kms:Decrypt", "kms:GenerateDataKey"], "keys of who writes")
        role = "arn:aws:iam::123456789012:role/lake"
        by_role = statements({**values, "lake": {"bucket": "lake", "write": ["exports"], "role_arn": role}})
        checks.equal([statement["Sid"] for statement in by_role], [*(statement["Sid"] for statement in least), "TakeRoles"], "a role has the lake's rights itself")
        checks.equal(by_role[-1]["Resource"], role, "the role")
        read_only = statements({**values, "lake": {"bucket": "lake", "read": ["history"]}})
        checks.equal([statement["Sid"] for statement in read_only][-2:], ["ListLake", "ReadLake"], "nothing is written")


if __name__ == "__main__":
    checks.run(globals(), pathlib.Path(sys.argv[1]))
