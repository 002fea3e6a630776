"""Names as they are asked for: names in other scripts become ASCII, as today's browsers do it.

The one rule it keeps: IDNA 2008 (UTS 46, non-transitional). Python's own codec knows only the older rules, and asks for
fass.example, another name, if faß.example is written. Names that the newer rules leave out (emoji) follow the older
ones.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

from orchestrator.probes.sockets import is_address

_UNFIT = re.compile(r"[\s\x00-\x20\x7f/\\?#@\[\]<>\"|^`{}%:]")


@lru_cache(maxsize=1 << 14)
def ascii_name(name: str) -> str:
    """The same for a name that is ASCII already. Raises ValueError for what can be no name."""
    if name.isascii():
        return name
    import idna

    labels = idna.uts46_remap(name, std3_rules=False).split(".")
    return ".".join(label if label.isascii() else _ascii_label(label) for label in labels)


def _ascii_label(label: str) -> str:
    import idna

    try:
        return idna.alabel(label).decode("ascii")
    except idna.IDNAError:
        return label.encode("idna").decode("ascii")


def name_to_ask_for(name: str) -> str:
    """The same, and certainly one that could be somebody's. Raises ValueError."""
    try:
        found = ascii_name(name)
    except ValueError as error:
        raise ValueError(f"{name!r} is no name: {error}") from error
    labels = found.removesuffix(".").split(".")
    if _UNFIT.search(found) or len(found) > 254 or not all(1 <= len(label) <= 63 for label in labels):
        raise ValueError(f"{name!r} is no name: between its dots are 1 to 63 letters, digits and hyphens")
    return found


def _target(text: str) -> str:
    address = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if is_address(address):
        return address
    try:
        name_to_ask_for(text)
    except ValueError as error:
        port = ": a port is an option of its own" if ":" in text and "//" not in text else ""
        raise ValueError(f"{text!r} is no address and no name of a host{port}") from error
    return text


Target = Annotated[str, AfterValidator(_target)]
"""An address, without the brackets that a URL puts around it, or a name."""
