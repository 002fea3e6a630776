"""Who is known in the cell: additions to its own view of /etc/passwd. The machine's file is not changed."""

from __future__ import annotations

import subprocess
from pathlib import Path


def know(directory: Path, *lines: str) -> None:
    """Know these people (lines of passwd(5)) before all others; their passwords are never right."""
    names = tuple(line.split(":")[0] + ":" for line in lines)
    others = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith(names)]
    number = len(list(directory.glob("passwd*")))
    (directory / f"passwd{number}").write_text("\n".join([*lines, *others]) + "\n")
    (directory / f"shadow{number}").write_text("".join(f"{name}*:19000:0:99999:7:::\n" for name in names))
    for name in ("passwd", "shadow"):
        subprocess.run(["mount", "--bind", directory / f"{name}{number}", f"/etc/{name}"], check=True)
