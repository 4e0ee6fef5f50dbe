"""What the benchmarks start and call: ports, processes that are ended, an embedded stream service."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request


def free_port():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def ended(process):
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def reaches(address, process, seconds=600):
    """Waits until something listens there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended with {process.returncode}")
        with contextlib.suppress(OSError), contextlib.closing(socket.create_connection(address, 1)):
            return
        time.sleep(0.05)
    sys.exit(f"nothing listens on {address}")


def call(kinesis, action, body):
    request = urllib.request.Request(
        kinesis,
        json.dumps(body).encode(),
        {
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": f"Kinesis_20131202.{action}",
            "authorization": "AWS4-HMAC-SHA256 Credential=x/20240101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0",
        },
    )
    with urllib.request.urlopen(request) as reply:
        return json.loads(reply.read() or b"{}")


@contextlib.contextmanager
def demo_of(program, directory):
    """A running demo; what it says of itself: `flight`, `kinesis`, `tables`."""
    command = [program, "demo", "--data-dir", directory, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--kinesis", "127.0.0.1:0"]
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as demo:
        said = {}
        for line in demo.stdout:
            if found := re.match(r"(flight|kinesis|tables): (.*)", line):
                said[found[1]] = found[2].strip()
            if line.strip() == "ready":
                break
        yield said


@contextlib.contextmanager
def stream_of(program, directory):
    """The embedded stream service of a demo."""
    with demo_of(program, directory) as said:
        yield said["kinesis"]
