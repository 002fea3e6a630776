"""A program that runs on a host of the lab, and the SysV script that starts and stops it.

The one rule it keeps: `service NAME status` tells the truth. The process that the pid file names is the program itself
(no shell stays between), so a program that died reads as stopped.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Service:
    """One program in the foreground, run by `/etc/init.d/NAME`.

    `argv` is absolute and never a shell line. `user` is the account it runs as, root if None. `env` are pairs that are
    added to a bare environment. `enabled` decides whether the host's init starts it at boot. `stop_signal` asks it to
    end (PostgreSQL's fast shutdown is INT); after `stop_timeout_s` seconds it is killed. `before_start` is a command
    that must succeed first, run as root (to make a directory under /run, say). `port` is what it listens on once it is
    ready.
    """

    name: str
    argv: tuple[str, ...]
    user: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    enabled: bool = True
    stop_signal: str = "TERM"
    stop_timeout_s: int = 5
    before_start: tuple[str, ...] = ()
    directory: str = "/"
    port: int | None = None

    def script(self) -> str:
        """The text of `/etc/init.d/NAME`."""
        environment = " ".join(shlex.quote(f"{key}={value}") for key, value in (("PATH", SEARCH_PATH), *self.env))
        return _SCRIPT.format(
            name=self.name,
            command=shlex.join(self.argv),
            before=shlex.join(self.before_start) or ":",
            user=f"--chuid {shlex.quote(self.user)}" if self.user else "",
            environment=environment,
            signal=self.stop_signal,
            timeout=self.stop_timeout_s,
            directory=shlex.quote(self.directory),
        )


# start-stop-daemon is part of dpkg, so every Debian and Ubuntu has it. The shell that opens the log replaces itself by
# the program and so keeps the pid that the pid file names. The log is opened before the user changes (it is root's).
_SCRIPT = """\
#!/bin/sh
### BEGIN INIT INFO
# Provides:          {name}
# Required-Start:
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: {name} of the lab
### END INIT INFO
PIDFILE=/run/{name}.pid
LOG=/var/log/{name}.log

start() {{
    start-stop-daemon --status --pidfile "$PIDFILE" && {{ echo "{name} is already running"; return 0; }}
    rm -f "$PIDFILE"
    {before} || {{ echo "{name}: not started, its preparation failed" >&2; return 1; }}
    start-stop-daemon --start --quiet --background --no-close --make-pidfile --pidfile "$PIDFILE" {user} \\
        --chdir {directory} --startas /usr/bin/env -- -i {environment} {command} </dev/null >>"$LOG" 2>&1 ||
        {{ echo "{name}: not started, see $LOG" >&2; return 1; }}
    echo "{name} started"
}}

stop() {{
    start-stop-daemon --stop --quiet --oknodo --retry {signal}/{timeout}/KILL/5 --pidfile "$PIDFILE" || return 1
    rm -f "$PIDFILE"
    echo "{name} stopped"
}}

case "$1" in
    start) start ;;
    stop) stop ;;
    restart|force-reload) stop && start ;;
    status)
        if start-stop-daemon --status --pidfile "$PIDFILE"; then echo "{name} is running"; exit 0; fi
        echo "{name} is stopped"; exit 3 ;;
    *) echo "usage: $0 start|stop|restart|status" >&2; exit 2 ;;
esac
"""
