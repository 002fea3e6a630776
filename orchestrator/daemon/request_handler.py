"""The desk behind the socket: turns requests into words for the engine, and events into messages.

The one rule it keeps: it decides nothing and keeps no state that matters. Of a running step it keeps the last task,
which no journal needs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from orchestrator.core import records as r
from orchestrator.core.codec import CodecError, decode, encode, encode_tagged
from orchestrator.core.commands import Answered
from orchestrator.core.events import Peer, StepKey, StepProgressed, WordSpoken
from orchestrator.core.model import Json
from orchestrator.core.outside import REASON_MAX, name_fault, texts_in
from orchestrator.daemon.socket import Message
from orchestrator.journal.journal import Entry

CLAIM_LENGTH = 64


class Desk:
    """Give `handle` to `WordsSocket`, its `publish` to `publish`, and call `entry` and `progress` from the shell.

    `speak` puts one word to the engine and returns its answer; `dry_run` returns the plan as JSON; `now` is the axis;
    `asking` tells how checks are asked; `seen` what is seen now and what is not, and the controller's own trouble;
    `reload` reads the configuration anew, and says why it could not.
    """

    def __init__(
        self,
        speak: Callable[[WordSpoken], Awaitable[Answered]],
        dry_run: Callable[[WordSpoken], Awaitable[Json]],
        now: Callable[[], float],
        asking: Callable[[], Json] = lambda: None,
        seen: Callable[[], Message] = dict,
        publish: Callable[[Message], None] | None = None,
        *,
        reload: Callable[[], Awaitable[list[str]]] | None = None,
    ) -> None:
        self.publish: Callable[[Message], None] = publish or (lambda _message: None)
        self._speak = speak
        self._dry_run = dry_run
        self._now = now
        self._asking = asking
        self._seen = seen
        self._reload = reload
        self._tasks: dict[StepKey, Json] = {}
        self.journal: Callable[[], Json] = lambda: None  # what is told of how the journal is kept

    async def handle(self, request: Message, peer: Peer) -> Message:
        """The reply to one request; see `socket.py`. Who speaks is what the kernel says, whatever the request does."""
        op = request.get("op")
        if op == "status":
            told: Message = {"now": self._now(), "tasks": list(self._tasks.values()), "asking": self._asking()}
            return {"status": {**self._seen(), **told}}
        if op == "journal":
            return {"journal": self.journal()}
        if op == "reload" and self._reload is not None:
            why = await self._reload()
            return {"reloaded": not why, "why": list(why)}
        if op not in ("word", "dry-run"):
            return {"error": f"unknown op {op!r}: word, dry-run, reload, status, journal or watch"}
        try:
            word = decode(WordSpoken, request.get("word"))
        except CodecError as error:
            return {"error": f"this is no word: {error}"}
        claims = word.peer.claims if word.peer is not None else ""
        word = replace(word, peer=replace(peer, claims=claims[:CLAIM_LENGTH]))
        if not word.id.strip():
            return {"error": "this is no word: its id is empty, and another one without any would be its repeat"}
        for what, said in {"id": word.id, "who": word.who, "subject": word.subject, "why": word.why}.items():
            if fault := name_fault(said, REASON_MAX):
                return {"error": f"this is no word: its {what} {fault}"}
        for said in texts_in(word.options):
            if fault := name_fault(said, REASON_MAX):
                return {"error": f"this is no word: one of its options {fault}"}
        if op == "dry-run":
            return {"plan": await self._dry_run(word)}
        return {"answer": encode(await self._speak(word))}

    def entry(self, entry: Entry) -> None:
        """Something was remembered."""
        for record in entry.records:
            if isinstance(record, r.StepFinished | r.StepLeftUnseen | r.StepRetried):
                gone = [k for k in self._tasks if (k.run, k.step) == (record.run, record.step)]
                for key in gone:
                    del self._tasks[key]
        self.publish({"entry": encode_entry(entry)})

    def progress(self, event: StepProgressed) -> None:
        """A running step got on."""
        shown: Json = {
            "run": event.key.run,
            "step": event.key.step,
            "attempt": event.key.attempt,
            "task": encode(event.task),
        }
        self._tasks[event.key] = shown
        self.publish({"progress": shown})


def encode_entry(entry: Entry) -> Message:
    """An entry as a watcher gets it: without detector rows."""
    records: list[Json] = [encode_tagged(x) for x in entry.records]
    return {"seq": entry.seq, "at": entry.at, "wall": entry.wall, "epoch": entry.epoch, "records": records}
