"""A web page: what the staff at head office fetch from the internet. It answers everybody the same, at once.

python -m orchestrator.lab.programs.page --listen ADDRESS --port PORT [--served-by NAME]
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from orchestrator.lab.programs import http_server
from orchestrator.lab.programs.http_server import Handler, Request, Response

BODY = b"<!doctype html><title>www</title><p>The internet is here.</p>\n"


def argv(python: str, *, listen: str = "0.0.0.0", port: int = 80, served_by: str = "www") -> tuple[str, ...]:  # noqa: S104
    """The command line that runs this program."""
    module = "orchestrator.lab.programs.page"
    return (python, "-m", module, "--listen", listen, "--port", str(port), "--served-by", served_by)


def handler(served_by: str) -> Handler:
    """Answers GET and HEAD of any path with the page."""

    async def answer(request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return Response(405, b"GET or HEAD\n")
        return Response(200, BODY, "text/html; charset=utf-8", {"X-Served-By": served_by})

    return answer


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="page")
    parser.add_argument("--listen", default="0.0.0.0")  # noqa: S104
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--served-by", default="www")
    options = parser.parse_args(arguments)
    asyncio.run(http_server.serve(handler(options.served_by), options.listen, [options.port]))


if __name__ == "__main__":
    main()
