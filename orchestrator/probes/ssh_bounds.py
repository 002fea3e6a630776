"""A connection from which no more is taken than an SSH server has to say.

The one rule it keeps: whoever answers has no more of this machine than an OpenSSH client would give them. Their host
key is not known yet. paramiko itself takes a greeting without an end, and 4 GB for one packet.
"""

from __future__ import annotations

from typing import Any, Protocol

GREETING_MAX_BYTES = 65536  # until the server has said its version
PACKET_MAX_BYTES = 262144 + 64  # as OpenSSH takes them, with what belongs to one


class Greeted(Protocol):
    """What is carried: a transport of paramiko's."""

    remote_version: str


class Bounded:
    """Stands for a socket or a channel. `carries` is the transport over it, once there is one."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._left = GREETING_MAX_BYTES
        self.carries: Greeted | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def recv(self, size: int) -> bytes:
        """At most so many bytes. Raises EOFError where it is too much, OSError."""
        if size > PACKET_MAX_BYTES:
            raise EOFError(f"it announces a packet of {size} bytes")
        data: bytes = self._connection.recv(size)
        if self.carries is not None and not self.carries.remote_version:
            self._left -= len(data)
            if self._left < 0:
                raise EOFError(f": no SSH greeting in {GREETING_MAX_BYTES} bytes")
        return data
