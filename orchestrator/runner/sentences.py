"""One failed result of Ansible as one sentence.

The one rule it keeps: only the message of a result is used, never its arguments, facts or output as a whole. What
`no_log` hides stays hidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MESSAGE_MAX = 300
LINE_MAX = 140
ITEM_MAX = 40
HERE = "localhost"
CENSORED = "its output is hidden by no_log"
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_WRAPPED = re.compile(r"^(Task failed: |Action failed: |Module failed: )+")
_SAYS_NOTHING = re.compile(r"non-zero return code|^MODULE FAILURE|^All items completed$", re.IGNORECASE)
# Of ssh and Python about themselves, before or after what a command said.
_ASIDE = re.compile(
    r"Traceback \(most recent call last\):$|  File \"|Shared connection to .* closed\.$|"
    r"Connection to .* closed\.$|Warning: Permanently added |OpenSSH_|debug\d: |\s*[\^~]+$"
)


Strike = Callable[[str], str]  # takes secrets out of a text; before anything is cut, or a part of one would stay


def message_of(result: Mapping[str, Any], strike: Strike = str) -> str:
    """Why it failed, in a line; of a loop the item that failed first, and how many did."""

    def told(*names: str) -> str:
        return next((text for name in names if (text := told_lines(result.get(name), strike))), "")

    if is_hidden(result):
        return CENSORED
    items = result.get("results")
    if isinstance(items, list) and (bad := [item for item in items if _is_bad(item)]):
        return _of_items(items, bad, strike)
    message = _WRAPPED.sub("", strike(one_line(result.get("msg"))))
    said = told("stderr", "stdout")
    empty = not message or _SAYS_NOTHING.search(message) is not None
    if "assertion" in result:
        asserted = strike(one_line(result["assertion"]))
        if message == "Assertion failed" or empty:
            message = f"assertion failed: {asserted}"
        else:
            message = f"{message} (assertion: {asserted[:LINE_MAX]})"
    elif result.get("failed_when_result") is True and result.get("rc") in (None, 0):
        because = message if not empty else said
        message = "its failed_when says so" + (f": {because}" if because else "")
    elif "rc" in result and empty:
        printed = told("module_stderr", "module_stdout", "stderr", "stdout")
        message = f"return code {result['rc']}" + (f": {printed}" if printed else "")
    elif printed := told("module_stderr", "module_stdout"):
        message = f"{message}: {printed}"  # the module itself could not run
    elif empty and (raised := told("exception")):
        message = raised
    return (message or said or "it gave no reason")[:MESSAGE_MAX]


def is_hidden(result: Mapping[str, Any]) -> bool:
    """Whether nothing of it may be told."""
    return "censored" in result or bool(result.get("_ansible_no_log"))


def delegates_of(result: Mapping[str, Any]) -> list[str]:
    """The hosts that it was done on in place of its own (`delegate_to`): by address, since ansible-core tells no more.

    HERE for a connection that stays on this machine.
    """
    found: dict[str, None] = {}
    items = result.get("results")
    for each in [result, *(items if isinstance(items, list) else [])]:
        given = each.get("_ansible_delegated_vars") if isinstance(each, Mapping) else None
        if not isinstance(given, Mapping):
            continue
        local = str(given.get("ansible_connection")).rpartition(".")[2] == "local"
        host = given.get("ansible_delegated_host") or given.get("ansible_host") or "a host that is not named"
        found[HERE if local or host == HERE else one_line(host)] = None
    return list(found)


def told_lines(value: Any, strike: Strike = str) -> str:
    """Of several lines the first and the last: a shell says the cause first, most programs say it last.

    Of a stack trace only the last, which is the error.
    """
    text = strike(_CONTROL.sub("", str(value or "")))
    lines = [line for line in text.splitlines() if line.strip() and not _ASIDE.match(line)]
    if not lines:
        return ""
    last = lines[-1].strip()[:LINE_MAX]
    first = lines[0].strip()[:LINE_MAX]
    if first == last or "Traceback (most recent call last):" in text:
        return last
    return f"{first} {'/' if len(lines) == 2 else '…'} {last}"


def one_line(value: Any) -> str:
    """Without control characters, line ends and runs of spaces."""
    return " ".join(_CONTROL.sub("", str(value or "")).split())


def _is_bad(item: object) -> bool:
    return isinstance(item, Mapping) and bool(item.get("failed") or item.get("unreachable"))


def _of_items(items: Sequence[Any], bad: Sequence[Mapping[str, Any]], strike: Strike) -> str:
    first = bad[0]
    if is_hidden(first):
        return CENSORED
    named = strike(_item_name(first))[:ITEM_MAX]
    many = f" ({len(bad)} of {len(items)} items failed)" if len(bad) > 1 else ""
    inner = message_of(first, strike)
    return (f"item {named}: {inner}" if named else inner)[: MESSAGE_MAX - len(many)] + many


def _item_name(item: Mapping[str, Any]) -> str:
    """A label, a word or a number; of anything larger only its name: the rest may be what nobody should read."""
    for given in (item.get("_ansible_item_label"), item.get(str(item.get("ansible_loop_var") or "item"))):
        found = given.get("name") if isinstance(given, Mapping) else given
        if isinstance(found, str | int | float) and not isinstance(found, bool):
            return one_line(found)
    return ""
