"""A time-stamping authority signs heads: a real one (OpenSSL's) behind a small server, and what can go wrong there."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestrator.journal.anchors import Anchors, keep, kept, line_of
from orchestrator.journal.journal import Head
from orchestrator.journal.time_stamps import TimeStamping

HEAD = Head(7, "ab" * 32, 1_800_000_000.0)
NEXT = Head(9, "cd" * 32, 1_800_086_400.0)
CONFIGURATION = """\
[tsa]
default_tsa = of
[of]
serial = {0}/serial
crypto_device = builtin
signer_cert = {0}/tsa.pem
certs = {0}/ca.pem
signer_key = {0}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = yes
ess_cert_id_chain = no
"""
RAW = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "drips": b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n",
    "drips its head": b"HTTP/1.1 200 OK\r\nX-More: ",
    "cut short": b"HTTP/1.1",
}


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@dataclass
class Authority:
    """What signs, and what it does otherwise: `instead` of an answer."""

    place: Path
    url: str = ""
    instead: str = ""
    queries: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        at, days = str(self.place), ("-days", "30")
        self.place.mkdir()
        (self.place / "serial").write_text("01\n")
        (self.place / "tsa.cnf").write_text(CONFIGURATION.format(at))
        (self.place / "extensions").write_text("extendedKeyUsage = critical,timeStamping\n")
        make = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl(*make, "-x509", *days, "-subj", "/CN=ca", "-keyout", f"{at}/ca.key", "-out", f"{at}/ca.pem")
        openssl(*make, "-subj", "/CN=tsa", "-keyout", f"{at}/tsa.key", "-out", f"{at}/tsa.csr")
        signed = ("-CA", f"{at}/ca.pem", "-CAkey", f"{at}/ca.key", "-CAcreateserial", "-extfile", f"{at}/extensions")
        openssl("x509", "-req", *days, "-in", f"{at}/tsa.csr", *signed, "-out", f"{at}/tsa.pem")

    def reply(self, query: bytes) -> bytes:
        """The token for a query, as OpenSSL makes it."""
        self.queries.append(query)
        asked, made = self.place / "query", self.place / "reply"
        asked.write_bytes(query)
        openssl(
            "ts", "-reply", "-config", f"{self.place}/tsa.cnf", "-section", "of", "-queryfile", str(asked),
            "-out", str(made),
        )  # fmt: skip
        return made.read_bytes()


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    made = Authority(tmp_path / "authority")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            if made.instead in RAW:
                self.close_connection = True
                self.drip(RAW[made.instead])
                return
            told = {"refuses": b"", "garbage": b"no token", "endless": b"x" * (2 << 20)}.get(made.instead)
            if told is None:
                told = made.reply(made.queries[0] if made.instead == "replays" else query)
            self.send_response({"refuses": 503, "redirects": 302}.get(made.instead, 200))
            if made.instead == "redirects":
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def drip(self, told: bytes) -> None:
            """At once what is no HTTP; else a byte each tenth of a second, for longer than anybody waits."""
            if not told.startswith(b"HTTP/"):
                self.wfile.write(told)
                return
            with suppress(OSError):
                self.wfile.write(told)
                while not over.wait(0.1):
                    self.wfile.write(b"x")

        def log_message(self, *_said: object) -> None:
            """Nothing."""

    over = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/tsr"
    yield made
    over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def anchors(authority: Authority, tmp_path: Path) -> Anchors:
    (tmp_path / "stamps").mkdir()
    of = TimeStamping(authority.url, authority.place / "ca.pem", tmp_path / "stamps")
    return Anchors(time_stamp=of, timeout_s=20.0)


def files(tmp_path: Path) -> list[str]:
    return sorted(x.name for x in (tmp_path / "stamps").iterdir())


def test_a_head_is_signed_kept_and_read_back_for_each_workspace(anchors: Anchors, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert keep(HEAD, anchors, name) == {}
    assert keep(NEXT, anchors, "one") == {}
    assert files(tmp_path) == [f"{x}.{end}" for x in ("one.7", "one.9", "two.7") for end in ("head", "tsr")]
    failed: dict[str, str] = {}
    assert [str(x) for x in kept(anchors, "one", failed=failed)] == [str(HEAD), str(NEXT)]
    assert [str(x) for x in kept(anchors, "two", failed=failed)] == [str(HEAD)]
    assert failed == {}
    said = tmp_path / "stamps/one.9.head"
    assert said.read_text() == line_of(NEXT, "one") + "\n"
    openssl(
        "ts",
        "-verify",
        "-data",
        str(said),
        "-in",
        str(said.with_suffix(".tsr")),
        "-CAfile",
        str(tmp_path / "authority/ca.pem"),
    )  # fmt: skip -- as docs say


def test_the_same_entry_is_signed_once_and_keeps_its_first_time(anchors: Anchors, authority: Authority) -> None:
    assert keep(HEAD, anchors, "one") == keep(HEAD, anchors, "one") == {}
    assert len(authority.queries) == 1
    assert keep(replace(HEAD, hash="ef" * 32), anchors, "one") == {}, "another head under its number is signed anew"
    assert len(authority.queries) == 2


@pytest.mark.parametrize(
    ("instead", "why"),
    [
        ("refuses", "answered 503 Service Unavailable"),
        ("redirects", "answered 302 Found"),
        ("garbage", "gave no stamp of it: "),
        ("endless", "answered more than a time stamp"),
        ("replays", "gave no stamp of it: "),
        ("no HTTP", "gave no answer of HTTP"),
        ("cut short", "gave no answer of HTTP"),
        ("drips", "did not answer within 1 s"),
        ("drips its head", "did not answer within 1 s"),
    ],
)
def test_an_answer_that_is_no_stamp_of_it_keeps_nothing_and_is_told(
    anchors: Anchors, authority: Authority, tmp_path: Path, instead: str, why: str
) -> None:
    assert keep(HEAD, anchors, "one") == {}
    before = files(tmp_path)
    authority.instead = instead
    failed = keep(NEXT, replace(anchors, timeout_s=1.0) if instead.startswith("drips") else anchors, "one")
    assert list(failed) == [f"time stamp {authority.url}"]
    assert why in failed[f"time stamp {authority.url}"]
    assert files(tmp_path) == before
    authority.instead = ""
    assert keep(NEXT, anchors, "one") == {}, "it is tried again"


def test_nobody_there_a_folder_that_is_not_there_and_another_authority(
    anchors: Anchors, authority: Authority, tmp_path: Path
) -> None:
    of = anchors.time_stamp
    assert of is not None
    gone = replace(of, url="http://127.0.0.1:9/tsr")
    assert "refused" in next(iter(keep(HEAD, Anchors(time_stamp=gone), "one").values()))
    unmounted = replace(of, folder=tmp_path / "none")
    told = next(iter(keep(HEAD, Anchors(time_stamp=unmounted), "one").values()))
    assert told == f"{tmp_path}/none/one.7.tsr.new: No such file or directory"
    other = Authority(tmp_path / "other")
    failed = keep(HEAD, Anchors(time_stamp=replace(of, certificate=other.place / "ca.pem")), "one")
    assert "gave no stamp of it: certificate verify error" in next(iter(failed.values()))
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("another line", "message imprint mismatch"),
        ("no token", "there is none"),
        ("another's token", "message imprint mismatch"),
        ("broken", "not enough data"),
    ],
)
def test_a_head_without_a_token_over_that_very_line_vouches_for_nothing(
    anchors: Anchors, tmp_path: Path, how: str, why: str
) -> None:
    """Whoever rewrites the journal can write lines, and no tokens."""
    assert keep(HEAD, anchors, "one") == keep(NEXT, anchors, "one") == {}
    said, token = (tmp_path / f"stamps/one.9.{x}" for x in ("head", "tsr"))
    if how == "another line":
        said.write_text(line_of(replace(NEXT, hash="ef" * 32), "one") + "\n")
    elif how == "no token":
        token.unlink()
    elif how == "another's token":
        token.write_bytes((tmp_path / "stamps/one.7.tsr").read_bytes())
    else:
        token.write_bytes(token.read_bytes()[:-7])
    failed: dict[str, str] = {}
    assert [str(x) for x in kept(anchors, "one", failed=failed)] == [str(HEAD)]
    assert list(failed) == [str(said)]
    assert failed[str(said)] == f"its time stamp does not hold: {why}"


def test_what_a_query_of_its_address_holds_is_in_no_message(anchors: Anchors, authority: Authority) -> None:
    """Some authorities take a key there."""
    of = anchors.time_stamp
    assert of is not None
    authority.instead = "refuses"
    keyed = replace(anchors, time_stamp=replace(of, url=f"{authority.url}?key=s3cret"))
    told = keep(HEAD, keyed, "one")
    assert told == {f"time stamp {authority.url}": f"{authority.url} answered 503 Service Unavailable"}


def test_where_openssl_is_not_installed_it_is_named(anchors: Anchors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert list(keep(HEAD, anchors, "one").values()) == ["openssl: No such file or directory"]
