"""What strangers say: strings that act on a terminal, a mail, a chat, a page, a log or a journal.

The one rule it keeps: each has a name for what it would do; `acts_in` says whether a text still does it there.
"""

from __future__ import annotations

import unicodedata

CORPUS: dict[str, str] = {
    "sets the title": "\x1b]0;OWNED\x07",
    "clears the screen": "\x1b[2J\x1b[H",
    "colours": "\x1b[31mFAKE: all is well\x1b[0m",
    "C1 controls": "\x9b31mred\x9d0;x\x9c",
    "asks the terminal": '\x1b[6n\x1bP$q"p\x1b\\\x1b[c',
    "writes the clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "hyperlink": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "goes back": "good\rEVIL\b\b\b\b",
    "forges lines": "down\nacme/erp  UP\nType:  bascule approve r1\u2028next\u2029next\x0b\x0c\x85next",
    "turns the direction": "\u202egpj.exe\u202c \u2066x\u2069 \u200f\u061c",
    "invisible": "pass\u200bword\ufeff\u2060\u00ad\u034f\u3164",
    "tags": "hi\U000e0041\U000e0042\U000e007f",
    "half a character": "a\ud800b\udfff",
    "NUL": "a\x00b",
    "paints over": "Z" + "\u0353\u0301\u0302\u0303" * 200,
    "private use": "\ue000\U000f0000",
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "breaks out of an attribute": "\"' onmouseover='x' -->]]></style></title>",
    "rich": "[bold red]x[/] [link=http://evil.example]x[/link] [/]",
    "emoji name": ":bomb: :thumbs_up:",
    "markdown link": "[Approve](http://evil.example/x) ![x](http://evil.example/seen.png)",
    "calls a channel": "@channel @here @everyone <!everyone> <!channel|x> <@U123> <#C1> @room",
    "link of Slack": "<http://evil.example|bascule approve r1>",
    "bare link": "http://evil.example/ HTTPS://evil.example www.evil.example",
    "header": "x\r\nBcc: all@example.org\r\n\r\nbody",
    "template": "{{ 7 * 7 }}{% for x in range(9) %}x{% endfor %} %s %n {0} ${HOME} `id` $(id)",
    "JSON": '"}],"ok":true,"x":[{"',
    "long": "x" * 100_000,
    "long and wide": "\U0001f4a3" * 100_000,
    "long and dangerous": "\x1b[2J" * 50_000,
}
WORDS = ("Zürich_βüro", "wéb-東京", "再起動 — tâche n° 1 ✓", "naïve café", "ERP-Störung: 5 > 3 & 2 < 4", "🔥 hot")
"""What people write, which is to stay as it is."""


def acts(text: str, keep: str = "") -> str:
    """The first character of the text that acts on whatever shows it; empty if none does."""
    for char in text:
        if char not in keep and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
            return repr(char)
    return ""
