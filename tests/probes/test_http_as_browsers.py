"""http as a browser asks: names in other scripts, certificates and their chains, cookies of a domain."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from orchestrator.core.events import Answer
from orchestrator.probes import trust
from orchestrator.probes.cookies import Cookies
from orchestrator.probes.domain_names import ascii_name
from orchestrator.probes.http import HttpOptions
from orchestrator.probes.http_place import place_of
from tests.probes.conftest import Ask, NameServer

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
Serve = Callable[..., Any]


@pytest_asyncio.fixture(loop_scope="module")
async def serve() -> AsyncIterator[Serve]:
    """Start a server that answers a request's head as told; its port, and what it heard."""
    servers: list[asyncio.Server] = []

    async def start(say: Callable[[bytes], bytes], context: ssl.SSLContext | None = None) -> tuple[int, list[bytes]]:
        heard: list[bytes] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                heard.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(say(heard[-1]))
                await writer.drain()
                writer.close()
            except (OSError, EOFError):
                writer.transport.abort()

        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        return server.sockets[0].getsockname()[1], heard

    yield start
    for server in servers:
        server.close()


class TestNames:
    """What is asked for where a name is written in another way than it is registered."""

    @pytest.mark.parametrize(
        ("written", "asked"),
        [
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("faß.example", "xn--fa-hia.example"),
            ("_dmarc.bücher.example", "_dmarc.xn--bcher-kva.example"),
            ("例え。example", "xn--r8jz45g.example"),
            ("i❤.example", "xn--i-7iq.example"),
            ("My_Host.example.", "My_Host.example."),
        ],
    )
    def test_in_other_scripts(self, written: str, asked: str) -> None:
        assert ascii_name(written) == asked

    @pytest.mark.parametrize(
        "host", ["a..b", ".a", "a b", "x" * 64 + ".example", "ü" * 63 + ".example", "a.example:0", "a%41b", "a|b"]
    )
    def test_none_at_all_is_a_fault_of_the_check(self, host: str) -> None:
        with pytest.raises(ValueError, match="is no URL"):
            HttpOptions.model_validate({"url": f"http://{host}/"})

    @pytest.mark.parametrize("host", ["127.1", "my_host", "a.example.", "xn--bcher-kva.example", "a.example:"])
    def test_odd_ones(self, host: str) -> None:
        HttpOptions.model_validate({"url": f"http://{host}/"})

    def test_a_zone_is_this_machines_own_business(self) -> None:
        place = place_of("http://[fe80::1%25eth0]:8080/")
        assert (place.host, place.named, place.certified) == ("fe80::1%eth0", "[fe80::1]:8080", "fe80::1")

    def test_what_a_browser_sends_as_it_is(self) -> None:
        assert place_of("http://a.example/x[1]?a[]=1|2&b={c}").path == "/x[1]?a[]=1|2&b={c}"

    @pytest.mark.parametrize(
        ("written", "asked"),
        [
            ("/a/./b/../c", "/a/c"),
            ("/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/%2E%2e/b?x=/../y", "/b?x=/../y"),
            ("/a/.", "/a/"),
            ("/a//../b/...", "/a/b/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("", "/"),
        ],
    )
    def test_a_path_with_dots(self, written: str, asked: str) -> None:
        assert place_of(f"http://a.example{written}").path == asked

    async def test_a_redirect_with_dots(self, ask: Ask, serve: Serve) -> None:
        def say(head: bytes) -> bytes:
            host = head.partition(b"Host: ")[2].partition(b"\r\n")[0]
            moved = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://%s/app/../login\r\n\r\n" % host
            return HELLO if head.startswith(b"GET /login HTTP") else moved

        port, heard = await serve(say)
        seen = await ask("http", url=f"http://127.0.0.1:{port}/", redirects=1)
        assert seen.answer is Answer.GOOD, heard

    async def test_the_name_server_is_asked_for_it(self, ask: Ask, serve: Serve, name_server: NameServer) -> None:
        port, heard = await serve(lambda _: HELLO)
        name_server.records[("xn--fa-hia.example.", "A")] = ["127.0.0.1"]
        seen = await ask("http", url=f"http://faß.example:{port}/", resolver=name_server.where)
        assert (seen.answer, b"Host: xn--fa-hia.example:" in heard[0]) == (Answer.GOOD, True), seen.detail
        for kind in ("tcp", "icmp"):
            more = {"port": port} if kind == "tcp" else {}
            seen = await ask(kind, target="faß.example", resolver=name_server.where, **more)
            assert seen.answer is Answer.GOOD, seen.detail
        seen = await ask("dns", record="faß.example", server="127.0.0.1", port=name_server.port, expect="127.0.0.1")
        assert seen.answer is Answer.GOOD, seen.detail

    async def test_where_a_redirect_leads_in_bytes_that_are_no_text(self, ask: Ask, serve: Serve) -> None:
        def say(head: bytes) -> bytes:
            moved = b"HTTP/1.1 302 Found\r\nLocation: /t\xe4r  \r\nContent-Length: 0\r\n\r\n"
            return HELLO if head.startswith(b"GET /t%E4r HTTP") else moved

        port, heard = await serve(say)
        seen = await ask("http", url=f"http://127.0.0.1:{port}/", redirects=1)
        assert seen.answer is Answer.GOOD, heard


class TestCertificates:
    """Whom a browser or curl would believe."""

    async def test_any_certificate_of_the_chain_may_be_trusted(
        self, ask: Ask, serve: Serve, name_server: NameServer, tmp_path: Path
    ) -> None:
        context = chain(tmp_path, "web.example", whole=True)
        port, _ = await serve(lambda _: HELLO, context)
        name_server.records[("web.example.", "A")] = ["127.0.0.1"]
        for trusted in ("root", "middle", "leaf"):
            seen = await ask(
                "http",
                url=f"https://web.example:{port}/",
                resolver=name_server.where,
                tls_ca_file=str(tmp_path / f"{trusted}.pem"),
            )
            assert seen.answer is Answer.GOOD, (trusted, seen.detail)

    async def test_one_that_the_server_leaves_out_is_missed(
        self, ask: Ask, serve: Serve, name_server: NameServer, tmp_path: Path
    ) -> None:
        port, _ = await serve(lambda _: HELLO, chain(tmp_path, "web.example", whole=False))
        name_server.records[("web.example.", "A")] = ["127.0.0.1"]
        url, resolver = f"https://web.example:{port}/", name_server.where
        seen = await ask("http", url=url, resolver=resolver, tls_ca_file=str(tmp_path / "root.pem"))
        assert (seen.answer, "certificate not accepted" in seen.detail) == (Answer.BAD, True), seen.detail
        seen = await ask("http", url=url, resolver=resolver, tls_ca_file=str(tmp_path / "middle.pem"))
        assert seen.answer is Answer.GOOD, seen.detail

    @pytest.mark.parametrize(
        ("certified", "host", "answer"),
        [
            ("*.web.example", "my_shop.web.example", Answer.GOOD),
            ("*.Web.example", "My_Shop.web.example.", Answer.GOOD),
            ("my_shop.web.example", "my_shop.web.example", Answer.GOOD),
            ("*.my_shop.example", "a.my_shop.example", Answer.GOOD),
            ("*.web.example", "a.my_shop.web.example", Answer.BAD),
            ("*.web.example", "my_shop.other.example", Answer.BAD),
            ("*.example", "my_shop.web.example", Answer.BAD),
            ("*.example", "web_.example", Answer.BAD),
            ("other.example", "my_shop.web.example", Answer.BAD),
        ],
    )
    async def test_a_name_with_an_underscore(
        self,
        ask: Ask,
        serve: Serve,
        name_server: NameServer,
        tmp_path: Path,
        certified: str,
        host: str,
        answer: Answer,
    ) -> None:
        port, _ = await serve(lambda _: HELLO, chain(tmp_path, certified, whole=True))
        name_server.records[(f"{host.lower().removesuffix('.')}.", "A")] = ["127.0.0.1"]
        where: dict[str, Any] = {"url": f"https://{host}:{port}/", "resolver": name_server.where}
        seen = await ask("http", **where, tls_ca_file=str(tmp_path / "root.pem"))
        assert seen.answer is answer, seen.detail
        if answer is Answer.BAD:
            assert "certificate not accepted" in seen.detail
        assert (await ask("http", **where)).answer is Answer.BAD  # nobody trusts who signed it
        assert (await ask("http", **where, tls_verify=False)).answer is Answer.GOOD

    @pytest.mark.parametrize("host", ["web.example.", "WEB.example", "other.example"])
    async def test_the_name_in_it(
        self, ask: Ask, serve: Serve, name_server: NameServer, tmp_path: Path, host: str
    ) -> None:
        port, _ = await serve(lambda _: HELLO, chain(tmp_path, "web.example", whole=True))
        for known in ("web.example.", "other.example."):
            name_server.records[(known, "A")] = ["127.0.0.1"]
        url, trusted = f"HTTPS://{host}:{port}/", str(tmp_path / "root.pem")
        seen = await ask("http", url=url, resolver=name_server.where, tls_ca_file=trusted, tls_days_left=0.5)
        assert seen.answer is (Answer.BAD if "other" in host else Answer.GOOD), seen.detail
        named = {"tls_ca_file": trusted, "tls_server_name": "Web.Example."}
        seen = await ask("http", url=url, resolver=name_server.where, **named)
        assert seen.answer is Answer.GOOD, seen.detail

    def test_no_python_is_stricter_than_another(self) -> None:
        options = HttpOptions.model_validate({"url": "https://web.example/"})
        flags = trust.trust_of(options, None, own=True).verify_flags
        assert (flags & ssl.VERIFY_X509_STRICT, flags & ssl.VERIFY_X509_PARTIAL_CHAIN > 0) == (0, True)


class TestCookies:
    """Where one goes that a redirect set."""

    @pytest.mark.parametrize(
        ("host", "said", "then", "sent"),
        [
            ("a.example", "x=1", "a.example", "x=1"),
            ("a.example", "x=1", "b.a.example", ""),
            ("localhost", "x=1; Domain=localhost; Path=/", "localhost", "x=1"),
            ("intranet", "x=1; domain=.Intranet", "intranet", "x=1"),
            ("10.0.0.1", "x=1; Domain=10.0.0.1", "10.0.0.1", "x=1"),
            ("a.example", 'x=1; Path="/"', "a.example", "x=1"),
            ("a.example.", "x=1; Domain=a.example", "a.example.", "x=1"),
            ("www.shop.example", "x=1; Domain=shop.example", "shop.example", "x=1"),
            ("www.shop.example", "x=1; Domain=.shop.example; Path=/", "login.shop.example", "x=1"),
            ("www.shop.example", "x=1; Domain=shop.example", "noshop.example", ""),
            ("www.shop.example", "x=1; Domain=other.example", "www.shop.example", ""),
            ("www.shop.example", "x=1; Domain=other.example", "other.example", ""),
            ("www.shop.example", "x=1; Domain=example", "other.example", ""),
            ("a.example", "x=1; Secure", "a.example", ""),
        ],
    )
    def test_goes_where_a_browser_would_send_it(self, host: str, said: str, then: str, sent: str) -> None:
        cookies = Cookies()
        cookies.take(host, f"http://{host}/", [said])
        assert cookies.said(then, f"http://{then}/") == sent

    async def test_two_hosts_of_one_domain(self, ask: Ask, serve: Serve, name_server: NameServer) -> None:
        """As where one signs on: the one sets it, the other one wants it."""
        own: list[int] = []

        def say(head: bytes) -> bytes:
            if b"Host: shop.example" not in head:
                there, cookie = b"shop.example", b"Set-Cookie: sid=1; Domain=shop.example; Path=/\r\n"
            elif b"sid=1" in head:
                return HELLO
            else:
                there, cookie = b"login.shop.example", b""
            where = b"Location: http://%s:%d/\r\n" % (there, own[0])
            return b"HTTP/1.1 302 Found\r\n" + cookie + where + b"Content-Length: 0\r\n\r\n"

        port, _ = await serve(say)
        own.append(port)
        for known in ("shop.example.", "login.shop.example."):
            name_server.records[(known, "A")] = ["127.0.0.1"]
        seen = await ask("http", url=f"http://shop.example:{port}/", resolver=name_server.where, redirects=3)
        assert seen.answer is Answer.GOOD, seen.detail


def chain(room: Path, name: str, *, whole: bool) -> ssl.SSLContext:
    """Three certificates, each signed by the one before, and a server's context with the last, or the last two."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    pem, now = serialization.Encoding.PEM, datetime.now(UTC)
    issuer: tuple[x509.Name, Any] | None = None
    texts = {}
    for role in ("root", "middle", "leaf"):
        key = ec.generate_private_key(ec.SECP256R1())
        own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, role)])
        made = (
            x509.CertificateBuilder()
            .subject_name(own)
            .issuer_name(issuer[0] if issuer else own)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )
        if role == "leaf":
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        else:
            made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        signed = made.sign(issuer[1] if issuer else key, hashes.SHA256())
        texts[role] = signed.public_bytes(pem)
        (room / f"{role}.pem").write_bytes(texts[role])
        issuer = own, key
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (room / "shown.pem").write_bytes(texts["leaf"] + (texts["middle"] if whole else b""))
    (room / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(room / "shown.pem", room / "key.pem")
    return context
