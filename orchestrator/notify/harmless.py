"""What may be sent through other people's mail and chat: text that triggers nothing in them.

The one rule it keeps: a notice quotes strangers, and its reader trusts it. So nothing in it calls a channel, is a link
that leads elsewhere than it says, fetches a picture, or looks like mark-up to any of apprise's services. Each service
has its own mark-up, and the text is the same for all of them.
"""

from __future__ import annotations

import re

from orchestrator.core.outside import visible

_SIGNS = str.maketrans({"<": "‹", ">": "›", "`": "'"})  # tags of HTML, mentions and links of Slack and Discord
_CALL = re.compile(r"(?<![\w.+-])@(?=\w)")  # @channel; not the @ of an address or a check's id
_SCHEME = re.compile(r"(?<=[A-Za-z0-9]):(?=//)")
_WWW = re.compile(r"(?<!\w/)\b(www)\.", re.IGNORECASE)  # not of a service client/www.shop: a command names it


def harmless(text: str) -> str:
    """The text for any mail or chat: the same to read, and nothing to act on."""
    shown = visible(text, "\n").translate(_SIGNS).replace("](", "] (")
    return _WWW.sub(r"\1[.]", _SCHEME.sub("[:]", _CALL.sub("＠", shown)))
