"""One HTTP response as it comes in: head, body up to a limit, and when it is whole.

The one rule it keeps: it is fed bytes and asked what they came to; it knows neither sockets nor time. The parsing is
llhttp's (httptools), which also Node.js and aiohttp stand on; what a parser cannot know is here: that the answer to
HEAD has no body, what the end of the connection means, and how much is enough.
"""

from __future__ import annotations

import codecs
import re
import zlib

import httptools

BODY_MAX_BYTES = 1 << 20
HEAD_MAX_BYTES = 1 << 16
AROUND_MAX_BYTES = 1 << 20  # sizes of chunks, what is said beside them, trailers
_GZIP_BEGINS = 0x1F
_NO_CHARSETS = {"punycode", "idna", "unicode_escape", "raw_unicode_escape", "utf-7"}  # slow, or no text at all
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s;"']+)""", re.IGNORECASE)


class NoResponse(Exception):
    """What came is no HTTP response; the text says what is wrong with it."""


class Response:
    """Feed it until it is `complete`. `status` is 0 until the head has come."""

    def __init__(self, *, head_only: bool, body_max_bytes: int = BODY_MAX_BYTES) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}  # by their names in small letters; each of several values on a line
        self.complete = False
        self.cut = False  # there was more than the limit
        self._body_max_bytes = body_max_bytes
        self._head_only = head_only
        self._interim = False
        self._fed_bytes = 0
        self._body_bytes = 0  # as they came, packed
        self._body = bytearray()
        self._encoding = ""
        self._unpacking: zlib._Decompress | None = None
        self._parser = httptools.HttpResponseParser(self)
        # as lenient as what people's programs are, since it is their way that is asked about
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_chunked_length=True,  # a length beside chunks means nothing (RFC 9112, 6.3)
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    def feed(self, data: bytes) -> None:
        """Take in what has come. Raises `NoResponse`."""
        self._fed_bytes += len(data)
        if self._fed_bytes - self._body_bytes > HEAD_MAX_BYTES + AROUND_MAX_BYTES:
            raise NoResponse(f"more than {AROUND_MAX_BYTES} bytes came that are neither its head nor its body")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.complete = True
        except httptools.HttpParserCallbackError as error:
            if not self.complete:
                raise NoResponse(str(error.__context__ or error)) from error
        except httptools.HttpParserError as error:
            if not self.complete:  # whatever follows what was asked for is nobody's business
                raise NoResponse(str(error)[:200]) from error
        if not self.status and self._fed_bytes > HEAD_MAX_BYTES:
            raise NoResponse(f"its head is longer than {HEAD_MAX_BYTES} bytes")

    def feed_end(self) -> None:
        """The connection was closed. Raises `NoResponse` where something was still to come."""
        if self.complete:
            return
        if not self._fed_bytes:
            raise NoResponse("connection closed before any response")
        if not self.status:
            raise NoResponse("connection closed within the head of the response")
        if "content-length" in self.headers or "transfer-encoding" in self.headers:
            raise NoResponse("connection closed before the body had come")
        self.complete = True

    def first(self, name: str) -> str:
        """The first value of a header; empty if there is none."""
        return self.headers.get(name, "").partition("\n")[0]

    @property
    def text(self) -> str:
        """The body so far, in the character set that it begins with, else that the response names."""
        for mark, charset in _BYTE_ORDER_MARKS:
            if self._body.startswith(mark):
                return self._body[len(mark) :].decode(charset, "replace")
        found = _CHARSET.search(self.first("content-type"))
        try:
            named = codecs.lookup(found[1]).name if found else "utf-8"
            return self._body.decode("latin-1" if named in _NO_CHARSETS else named, "replace")
        except (LookupError, ValueError):  # none of that name, or none of text
            return self._body.decode("latin-1")

    # ---- called by the parser

    def on_message_begin(self) -> None:
        """Another one: after an interim response."""
        self.headers, self._interim = {}, False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if not self.status:  # trailers say nothing that anybody looks at
            key, text = name.decode("latin-1").lower(), value.decode("utf-8", "replace")
            self.headers[key] = f"{self.headers[key]}\n{text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        """The head is whole."""
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._interim = True
            return
        self.status = status
        self._encoding = self.first("content-encoding").strip().lower()
        self.complete = self._head_only

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(data)
        if self.complete:
            return
        self._body += data if self._encoding not in ("gzip", "x-gzip", "deflate") else self._unpacked(data)
        if self._body_bytes > 2 * self._body_max_bytes:  # it unpacks to nothing
            self.complete = self.cut = True
        if len(self._body) > self._body_max_bytes:
            del self._body[self._body_max_bytes :]
            self.complete = self.cut = True

    def on_message_complete(self) -> None:
        """It is whole."""
        if not self._interim:
            self.complete = True

    def _unpacked(self, data: bytes) -> bytes:
        """What it unpacks to, up to one byte more than the limit: how much there is after that, nobody asks."""
        told = bytearray()
        try:
            while data and len(told) <= self._body_max_bytes:
                if self._unpacking is None or self._unpacking.eof:  # the next member, if there is one (RFC 1952, 2.2)
                    if self._unpacking is not None and (self._encoding == "deflate" or data[0] != _GZIP_BEGINS):
                        break  # padding
                    raw = self._encoding == "deflate" and data[0] & 0x0F != 8  # some servers leave zlib's head out
                    self._unpacking = zlib.decompressobj(-15 if raw else 47)
                told += self._unpacking.decompress(data, self._body_max_bytes + 1 - len(told))
                data = self._unpacking.unused_data
        except zlib.error as error:
            raise NoResponse(f"its body is no {self._encoding}: {error}") from error
        return bytes(told)
