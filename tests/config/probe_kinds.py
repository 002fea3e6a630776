"""Stand-ins for the probes' options: `config` is tested without `probes`, as it is built without them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Options(BaseModel):
    """Strict, as the real ones are."""

    model_config = ConfigDict(extra="forbid")


class Icmp(_Options):
    """Options of a ping."""

    target: str
    count: int = Field(1, ge=1, le=100)


class Tcp(_Options):
    """Options of a connection."""

    target: str
    port: int = Field(ge=1, le=65535)


class Http(_Options):
    """Options of a request."""

    url: str
    token_secret: str | None = None
    status: list[int] = [200]


class Ssh(_Options):
    """Options of a command on a host."""

    target: str
    user: str
    command: str


class Postgres(_Options):
    """Options of a question to a database."""

    target: str
    user: str
    password_secret: str | None = None


class Nagios(_Options):
    """Options of a program that runs here."""

    command: tuple[str, ...]


PROBE_KINDS: dict[str, type[BaseModel]] = {
    "icmp": Icmp,
    "tcp": Tcp,
    "http": Http,
    "ssh": Ssh,
    "postgres": Postgres,
    "nagios": Nagios,
}
