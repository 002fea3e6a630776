"""Plain HTTP to the lab's stand-in for AWS, for programs that cannot afford to import boto3.

It speaks to moto only. moto routes a request by the service named in its `Authorization` header and never verifies the
signature, so none is made. The real AWS would refuse every one of these requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit
from xml.etree import ElementTree

from orchestrator.lab.programs import http_client
from orchestrator.lab.programs.http_client import Answer

REGION = "us-east-1"


class ApiError(Exception):
    """The API is away or answered something else than success; the message has its words."""


def authorization(service: str) -> dict[str, str]:
    """The header by which moto knows which service is meant."""
    credential = f"Credential=lab/20260101/{REGION}/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0"}


class Api:
    """One API address, for example `http://198.51.100.34:5000`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"expected http://ADDRESS:PORT, got {url!r}")
        self._address = parts.hostname
        self._port = parts.port or 80

    async def call(
        self,
        service: str,
        method: str,
        target: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 2.0,
    ) -> Answer:
        """Make one request.

        Raises:
            ApiError: no answer within `timeout_s`, or a status of 300 and above.
        """
        every = {**authorization(service), **(headers or {})}
        try:
            answer = await http_client.request(
                method, self._address, self._port, target, headers=every, body=body, timeout_s=timeout_s
            )
        except OSError as error:
            raise ApiError(str(error)) from error
        if answer.status >= 300:
            raise ApiError(f"{service} {method} {target}: {answer.status} {answer.body[:200].decode(errors='replace')}")
        return answer


def parsed(answer: Answer) -> ElementTree.Element:
    """The XML of an answer.

    Raises:
        ApiError: it is none.
    """
    try:
        return ElementTree.fromstring(answer.body)  # noqa: S314  from the lab's own server
    except ElementTree.ParseError as error:
        raise ApiError(f"not XML: {error}") from error


def elements(root: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Every element of that name, whatever its namespace."""
    return (element for element in root.iter() if element.tag.rpartition("}")[2] == name)


def text(root: ElementTree.Element, name: str) -> str:
    """The text of the first such element below `root`, or an empty string."""
    return next(((element.text or "").strip() for element in elements(root, name)), "")
