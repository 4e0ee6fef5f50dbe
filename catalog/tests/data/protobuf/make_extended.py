"""Messages with extensions, written and read by Google's Python library (`pip install protobuf grpcio-tools`)."""

import json
import subprocess
import sys
from pathlib import Path

from google.protobuf import json_format

HERE = Path(__file__).parent


def main() -> None:
    arguments = [f"-I{HERE}", f"--python_out={HERE}", f"--descriptor_set_out={HERE / 'extended.desc'}", "extended.proto"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)
    sys.path.insert(0, str(HERE))
    import extended_pb2 as made

    full = made.Extended(id="a")
    full.Extensions[made.weight] = -7
    full.Extensions[made.labels].extend(["x", "ü"])
    full.Extensions[made.more].text = "more"
    full.Extensions[made.more].Extensions[made.Scope.flag] = True
    full.detail.Extensions[made.Scope.flag] = False
    bare = made.Extended(id="b")
    bare.detail.text = "plain"
    messages = [{"hex": message.SerializeToString().hex(), "json": json_format.MessageToDict(message)} for message in [full, bare]]
    (HERE / "extended.json").write_text(json.dumps(messages, ensure_ascii=False, indent=1) + "\n")
    (HERE / "extended_pb2.py").unlink()


main()
