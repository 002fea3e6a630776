"""Stands in for `ansible-playbook` on a test's PATH: plays it the way that is tried, and keeps what it said.

The one rule it keeps: whoever calls it sees what it would have seen; beside that, output and exit code are kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

READY_S = 90.0


def main() -> int:
    """Play, keep, pass on."""
    way, kept = os.environ["TARGETS_WAY"], Path(os.environ["TARGETS_KEPT"])
    options = sys.argv[1:]
    called_at = time.monotonic()
    if os.isatty(0):  # somebody types: he sees each word at once, and only the end of it is kept
        code, executor = _play(way, options)
        _keep(kept, options, code, executor, time.monotonic() - called_at, ["", ""])
        return code
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        sys.stdout.flush()
        own = [os.dup(1), os.dup(2)]
        os.dup2(out.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        code, executor = _play(way, options)
        os.dup2(own[0], 1)
        os.dup2(own[1], 2)
        said = []
        for stream, to in ((out, own[0]), (errors, own[1])):
            stream.seek(0)
            data = stream.read()
            said.append(data.decode(errors="replace"))
            while data:
                data = data[os.write(to, data) :]
    _keep(kept, options, code, executor, time.monotonic() - called_at, said)
    return code


def _keep(kept: Path, options: list[str], code: int, executor: str, took_s: float, said: list[str]) -> None:
    call = {"options": options, "code": code, "executor": executor, "took_s": took_s}
    call |= {"stdout": said[0], "stderr": said[1]}
    number = len(list(kept.glob("call-*.json")))
    (kept / f"call-{number:04}.json").write_text(json.dumps(call))


def _play(way: str, options: list[str]) -> tuple[int, str]:
    from orchestrator.cli.playbook import Call, split
    from orchestrator.runner.warm import alone

    if way == "cold":
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        return subprocess.run([program, *options], check=False, close_fds=False).returncode, "cold"
    own, rest = split([*options, "--no-times", "--executor", way])
    call = Call(str(Path(sys.executable).with_name("ansible-playbook")), rest, own)
    with call.environment() as environment:
        place = alone.find(environment, way == "fast")
        until = time.monotonic() + READY_S
        while place is not None and time.monotonic() < until:
            if (stream := place.call()) is not None:
                stream.close()
                break
            place.start(environment)
            time.sleep(0.1)
    return call.run(), f"cold: {call.why_cold}" if call.why_cold else way


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(main())
