# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of the controller a host may fetch: Mitogen has hosts fetch the large ones themselves.

The one rule it keeps: a host gets a file only while a task brings it there, and no other host gets it. Mitogen's own
service would give a file that was once brought anywhere to whoever asks for the path; and it serves the hosts of all
clients.
"""

from __future__ import annotations

from typing import Any


def only_to_whom_it_is_for(pool: Any, standing: Any) -> None:
    """Have Mitogen's service of files ask for whom a file is. `standing`: knows who uses which connection."""
    import mitogen.core
    import mitogen.service

    paths = mitogen.core.FsPathTypes

    class Files(mitogen.service.FileService):  # type: ignore[misc]
        @classmethod
        def name(cls) -> str:
            return str(mitogen.service.FileService.name())

        @mitogen.service.expose(mitogen.service.AllowParents())  # type: ignore[untyped-decorator]
        @mitogen.service.arg_spec({"path": paths})  # type: ignore[untyped-decorator]
        def register(self, path: Any, msg: Any = None) -> None:
            """A task is about to bring it to its host."""
            with standing.lock:
                standing.brings.setdefault(msg.src_id, set()).add(path)
            super().register(path)

        @mitogen.service.expose(mitogen.service.AllowAny())  # type: ignore[untyped-decorator]
        @mitogen.service.no_reply()  # type: ignore[untyped-decorator]
        @mitogen.service.arg_spec({"path": paths, "sender": mitogen.core.Sender})  # type: ignore[untyped-decorator]
        def fetch(self, path: Any, sender: Any, msg: Any = None) -> None:
            """A host asks for it."""
            stream = self.router.stream_by_id(msg.src_id)
            if stream is None or not standing.may_have(stream.protocol.remote_id, path):
                why = mitogen.service.Error(self.unregistered_msg % (path,))
                msg.reply(mitogen.core.CallError(why))
                return
            super().fetch(path=path, sender=sender, msg=msg)

    files = Files(pool.router)
    with pool._lock:
        pool._invoker_by_name[files.name()] = files.invoker_class(service=files)
