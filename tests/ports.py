"""A port for a server that a test starts. The one rule it keeps: nobody else takes the port before that server does.

A port that the system chooses is free again at once, and the next outgoing connection of another test may get it. So
ours lie below the range of which the system chooses (32768 and above, as Linux comes).
"""

from __future__ import annotations

import random
import socket

LOWEST, HIGHEST = 10_240, 32_000
_chosen = random.SystemRandom()


def free_port() -> int:
    """A port of loopback that nobody listens on, by TCP and by UDP."""
    while True:
        port = _chosen.randint(LOWEST, HIGHEST)
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            try:
                stream.bind(("127.0.0.1", port))
                datagram.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
