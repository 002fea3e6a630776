"""The text of a document, in the character set in which it is written.

The character set is found as a browser finds it: a byte order mark, else what the response says, else what the document
says of itself, else UTF-8, and if it is none of these, the old default of the web.
"""

from __future__ import annotations

import codecs
import re

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_BEFORE = "cp1252"  # what is called latin-1 or ASCII is read as this one, which has all of both (WHATWG, Encoding)
_CALLED_OTHERWISE = {  # the same standard has one that includes it for each of these
    "iso8859-1": _BEFORE,
    "ascii": _BEFORE,
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "utf-16": "utf-16-le",
}
_NO_CHARSETS = {"punycode", "idna", "unicode_escape", "raw_unicode_escape", "utf-7"}  # slow, or no text at all
_NO_CHARSETS |= {"utf-32", "utf-32-le", "utf-32-be"}  # browsers know none of these
_SAID = re.compile(r"""charset\s*=\s*["']?([^\s;"']+)""", re.IGNORECASE)
_SAID_INSIDE = re.compile(  # a form or a script may name another one
    rb"""(?:<meta\b[^>]*?\bcharset|<\?xml\b[^>]*?\bencoding)\s{0,9}=\s{0,9}["']?([A-Za-z0-9_.:-]{1,40})""",
    re.IGNORECASE,
)
_INSIDE_BYTES = 1024


def text_of(body: bytes | bytearray, content_type: str) -> str:
    """What stands there; what is no text of that character set is replaced."""
    for mark, charset in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(charset, "replace")
    for said in (_named_by(content_type), _named_inside(body)):
        if said is not None:
            try:
                return body.decode(said, "replace")
            except (LookupError, ValueError):  # none of text
                continue
    return plain_text(body)


def plain_text(body: bytes | bytearray) -> str:
    """Where nothing says in which it is written: UTF-8, else what there was before."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(body)  # its last letter may have been cut in two
    except UnicodeDecodeError:
        return body.decode(_BEFORE, "replace")


def _named_by(content_type: str) -> str | None:
    found = _SAID.search(content_type)
    return _known(found[1]) if found else None


def _named_inside(body: bytes | bytearray) -> str | None:
    start = bytes(body[:_INSIDE_BYTES])
    found = _SAID_INSIDE.search(start) if start.lstrip()[:1] == b"<" else None
    named = _known(found[1].decode("ascii")) if found else None
    return "utf-8" if named and named.startswith("utf-16") else named  # it would not have been found there


def _known(name: str) -> str | None:
    spelt = name.lower().removeprefix("x-")
    for one in (name, spelt, spelt.replace("windows-", "cp")):
        try:
            codec = codecs.lookup(one).name
        except (LookupError, ValueError):
            continue
        return None if codec in _NO_CHARSETS else _CALLED_OTHERWISE.get(codec, codec)
    return None
