"""What an author may write for a kind of probe: the options that kinds share, and how their values are written.

The one rule it keeps: a duration has its unit, and an unknown key is an error.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from orchestrator.core.durations import parse_duration


def _seconds(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    raise ValueError(f"{value!r} is no duration: write the unit too, like {value}s")


Duration = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
"""Seconds, written with a unit."""

Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, Field(min_length=1)]


def _name_server(text: str) -> str:
    """An address with or without a port; without one, no brackets."""
    address, colon, port = (text, "", "") if text.endswith("]") or text.count(":") != 1 else text.partition(":")
    if text.startswith("[") and not text.endswith("]"):
        address, colon, port = text.rpartition(":")
    address = address.removeprefix("[").removesuffix("]")
    try:
        ip_address(address)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address: a name server is asked by its address (and :PORT)") from error
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} has no port behind its colon: write 1 to 65535")
    return text if colon else address


class Options(BaseModel):
    """What an author may write for a kind, beside what every check has. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    FROM_HOST: ClassVar[bool] = False  # the question is asked from the host it logs in to: a vantage of its own


class Pinned(Options):
    """Options of a question that can be tied to one way out of this machine."""

    source: Text | None = Field(default=None, description="own address to ask from")
    interface: Text | None = Field(default=None, description="network interface to ask through (needs CAP_NET_RAW)")
    mark: Annotated[int, Field(ge=0, le=0xFFFFFFFF)] | None = Field(
        default=None, description="firewall mark for policy routing (needs CAP_NET_ADMIN)"
    )


class Addressed(Pinned):
    """Options of a question whose target may have several addresses."""

    address_family: Literal["any", "ipv4", "ipv6"] = Field(default="any", description="of the target's addresses")
    addresses: Literal["any", "first"] = Field(
        default="any", description="any: all are tried until one answers; first: the first one alone"
    )
    resolver: Annotated[Text, AfterValidator(_name_server)] | None = Field(
        default=None, description="name server to ask for the target's address"
    )


UNPINNED = Pinned()
