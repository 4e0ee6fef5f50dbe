"""What the container file says, done without an engine: the program where the image has it, as the image's user, with the image's commands. Arguments: the
directory deploy/, the program."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import checks
from deploy_files import stages

# The image's paths, and where they are here.
PROGRAM, CONFIG, HOME = "/usr/local/bin/shardflight", "/etc/shardflight/shardflight.yaml", "/var/lib/shardflight"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def check_the_build_makes_what_is_copied(deploy, program):
    build, image = stages(deploy / "Containerfile")
    steps = " ".join(rest for word, rest in build if word == "RUN")
    package = re.search(r"--package (\S+) --bin (\S+)", steps).groups()
    metadata = json.loads(subprocess.run(["cargo", "metadata", "--no-deps", "--locked", "--format-version", "1"], cwd=deploy.parent, check=True,
                                         stdout=subprocess.PIPE).stdout)
    binaries = {(found["name"], target["name"]) for found in metadata["packages"] for target in found["targets"] if "bin" in target["kind"]}
    checks.equal(package in binaries, True, f"{package} of {binaries}")
    made = re.search(r"install .* target/release/(\S+) (\S+)", steps).groups()
    checks.equal(made[0], package[1], "what is built is installed")
    copied = next(rest for word, rest in image if word == "COPY").split()
    checks.equal(copied[1:], [made[1], PROGRAM], "what is installed is copied")
    bill, path = re.search(r"&& (deploy/release/\S+) >(\S+)", steps).groups()
    checks.equal(os.access(deploy.parent / bill, os.X_OK), True, f"{bill} can be run")
    checks.equal(path in [rest.split()[1] for word, rest in image if word == "COPY"], True, "the bill of materials is copied")


def check_the_image_runs(deploy, program):
    image = stages(deploy / "Containerfile")[1]
    said = dict(image)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="shardflight-image-"))
    try:
        runs(said, directory, program)
    finally:
        shutil.rmtree(directory)


def runs(said, directory, program):
    directory.chmod(0o755)
    here = directory / "shardflight"
    shutil.copy(program, here)
    home = directory / "home"
    (home / "tables").mkdir(parents=True)
    config, http = directory / "shardflight.yaml", free_port()
    config.write_text(f"listen: 127.0.0.1:{free_port()}\nhttp: 127.0.0.1:{http}\nkinesis: {{ region: us-east-1 }}\ndata_dir: {home}\n")
    user = {}
    if os.geteuid() == 0:
        uid = int(said["USER"])
        user = {"user": uid, "group": uid, "extra_groups": []}
        os.chown(home, uid, uid)
    paths = {PROGRAM: str(here), CONFIG: str(config), HOME: str(home)}

    def command(text):
        return [paths.get(word, word) for word in json.loads(text)]

    options = {"cwd": paths[said["WORKDIR"]], "env": {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"}, **user}
    health = command(said["HEALTHCHECK"].split("CMD ", 1)[1])
    checks.equal(subprocess.run(health, capture_output=True, **options).returncode, 1, "nobody is healthy before")
    server = subprocess.Popen(command(said["ENTRYPOINT"]) + command(said["CMD"]), stderr=subprocess.PIPE, text=True, **options)
    try:
        deadline = time.monotonic() + 60
        # an engine asks in the same way, again and again
        while subprocess.run(health, capture_output=True, **options).returncode != 0:
            checks.equal(server.poll(), None, "the server runs")
            checks.equal(time.monotonic() < deadline, True, "it is healthy within a minute")
            time.sleep(0.1)
        checks.equal((home / "ticket.key").exists(), True, "it writes where the image lets it")
        server.send_signal(getattr(signal, said["STOPSIGNAL"]))
        checks.equal(server.wait(timeout=20), 0, "it stops on the image's signal")
    finally:
        server.kill()
        server.communicate()


if __name__ == "__main__":
    checks.run(globals(), *(pathlib.Path(argument) for argument in sys.argv[1:]))
