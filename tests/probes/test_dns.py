"""dns: what a name server says."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.events import Answer
from orchestrator.probes.dns import DnsOptions
from orchestrator.probes.dns_values import plain
from tests.probes.conftest import Ask, NameServer


def at(name_server: NameServer, record: str, **more: Any) -> dict[str, Any]:
    """Options to ask the tests' name server."""
    return {"server": "127.0.0.1", "port": name_server.port, "record": record, **more}


async def test_a_record_and_its_value(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("a.example.", "A")] = ["192.0.2.1"]
    assert (await ask("dns", **at(name_server, "a.example"))).answer is Answer.GOOD
    assert (await ask("dns", **at(name_server, "a.example", expect="192.0.2.1"))).answer is Answer.GOOD
    assert (await ask("dns", **at(name_server, "a.example", expect=["192.0.2.9", "192.0.2.1"]))).answer is Answer.GOOD
    other = await ask("dns", **at(name_server, "a.example", expect="192.0.2.9"))
    assert (other.answer, "is 192.0.2.1, expected 192.0.2.9" in other.detail) == (Answer.BAD, True), other.detail


async def test_one_stale_value_among_right_ones_is_bad(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("two.example.", "A")] = ["192.0.2.1", "192.0.2.2"]
    seen = await ask("dns", **at(name_server, "two.example", expect=["192.0.2.1"]))
    assert seen.answer is Answer.BAD, seen.detail


async def test_text_is_compared_as_people_write_it(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("t.example.", "TXT")] = ["Hello"]
    name_server.records[("c.example.", "CNAME")] = ["Other.Example."]
    assert (await ask("dns", **at(name_server, "t.example", type="TXT", expect="hello"))).answer is Answer.GOOD
    assert (
        await ask("dns", **at(name_server, "c.example", type="CNAME", expect="other.example"))
    ).answer is Answer.GOOD


async def test_over_tcp(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("a.example.", "A")] = ["192.0.2.1"]
    seen = await ask("dns", **at(name_server, "a.example", tcp=True))
    assert seen.answer is Answer.GOOD, seen.detail


async def test_a_long_answer_comes_over_tcp_by_itself(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("many.example.", "A")] = [f"192.0.2.{number}" for number in range(1, 200)]
    seen = await ask("dns", **at(name_server, "many.example"))
    assert (seen.answer, "192.0.2.199" in seen.detail) == (Answer.GOOD, True), seen.detail


async def test_no_such_name_and_no_such_record_are_answers(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("a.example.", "A")] = ["192.0.2.1"]
    none = await ask("dns", **at(name_server, "nobody.example"))
    assert (none.answer, "NXDOMAIN" in none.detail) == (Answer.BAD, True), none.detail
    other = await ask("dns", **at(name_server, "a.example", type="AAAA"))
    assert other.answer is Answer.BAD, other.detail


async def test_silent_and_refused(ask: Ask, deaf_udp: int) -> None:
    silent = await ask("dns", server="127.0.0.1", port=deaf_udp, record="a.example", timeout_s=0.4)
    assert silent.answer is Answer.SILENT, silent.detail
    refused = await ask("dns", server="127.0.0.1", port=1, record="a.example", timeout_s=5.0)
    assert refused.answer is Answer.BAD, refused.detail


async def test_a_name_that_is_none(ask: Ask, name_server: NameServer) -> None:
    seen = await ask("dns", **at(name_server, "a..example"))
    assert (seen.answer, "cannot ask for a..example" in seen.detail) == (Answer.NONE, True), seen.detail


def test_a_server_is_an_address() -> None:
    with pytest.raises(ValueError, match="is no address"):
        DnsOptions.model_validate({"record": "a.example", "server": "ns.example"})


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("TXT", '"v=spf1 ip4:192.0.2.0/24 " "-all"', "v=spf1 ip4:192.0.2.0/24 -all"),
        ("TXT", '"say \\"yes\\""', 'say "yes"'),
        ("AAAA", "2001:db8::1", "2001:0DB8:0:0::1"),
        ("MX", "10 Mail.Example.", "10  mail.example"),
        ("SRV", "0 5 443 a.example.", "0 5 0443 A.example"),
        ("CAA", '0 issue "ca.example"', "0 issue ca.example"),
        ("CNAME", "Other.Example.", "other.example"),
    ],
)
def test_values_are_compared_not_their_spellings(kind: str, one: str, other: str) -> None:
    assert plain(kind, one) == plain(kind, other)
    assert plain(kind, one) != plain(kind, other.replace("1", "2").replace("e", "f"))
