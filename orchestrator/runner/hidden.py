"""Strikes secrets out of what a target lists or a playbook publishes, before it is kept on record.

The one rule it keeps: rather too much than too little. What is struck out is compared by nobody: a difference in it
alone does not show.

    struck out                                            of
    -------------------------------------------------------------------------------------------------------------
    what stands behind a name that is one of a secret     `--db-pass x`, `PWD=x`, `"token": "x"`
    what a header says of who one is                      `Authorization: Basic x`
    what stands before the host of an address             `amqp://erp:p@ss@mq`, `https://TOKEN@git`
    the path of a web hook, which is all its secret       `https://hooks.slack.com/services/…`
    the value of an option that is short                  `mysql -px`, `curl -u me:x`, `ipmitool -P x`: by the program
"""

from __future__ import annotations

import re

STRUCK = "***"
_INSIDE = (  # wherever in a name
    r"passw(?:or)?d|passwd|passphrase|secret|token|credential|requirepass|masterauth|webhook|cookie|community"
    r"|(?:api|access|private|licen[cs]e|encryption|signing|account|shared|master|storage|session|auth)[_-]?key"
)
_PART = r"pass|pwd|pw|pin|otp|sig|signature|auth|authkey|key|psk|jwt|sas|bearer"  # as a part of its own at the end
_VALUE = r"(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\"'&;,}]+)"
_NAME = rf"(?:[\w.-]{{0,60}}?(?:{_INSIDE})[\w.-]{{0,60}}|(?:[\w.-]{{0,60}}[_.-])?(?:{_PART}))"  # longer ones are none
_NAMED = re.compile(rf"(?i)(?<![\w.-])({_NAME}[\"']?\s*[:=]\s*){_VALUE}")
_OPTION = re.compile(rf"(?i)((?<!\S)--?{_NAME}\s+)(?![-*]){_VALUE}")
_HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?|x-[\w-]{0,40}(?:auth|key|token)[\w-]{0,40}:\s*)[^\"'\n]+"
)
_BEARER = re.compile(r"(?i)\b((?:bearer|basic)\s+)(?=[a-z._~-]{0,80}[\d+/=])[\w.~+/=-]{6,}")
_IN_ADDRESS = re.compile(r"(\w[\w+.-]{0,30}://)([^\s/:@]*:[^\s/]*|[^\s/:@]{16,})@")
_WEB_HOOK = re.compile(
    r"(?i)(https?://(?:hooks\.slack\.com/services/|(?:\w+\.)?discord(?:app)?\.com/api/webhooks/"
    r"|api\.telegram\.org/bot|[\w.-]+\.webhook\.office\.com/))[^\s\"']+"
)
_SHORT = [  # programs, and the options of which the value is a secret
    (re.compile(rf"(?:^|[\s/\"'(])(?:{programs})(?=\s)"), re.compile(rf"(?<=\s)({options})[^\s\"']+"))
    for programs, options in (
        (r"(?:mysql|mariadb)[\w-]*|7z\w*", r"-p"),
        (r"sshpass|fence_\w+|mongo\w*|(?:docker|podman)\s+login|rdesktop|ldap\w+|vncdo\w*", r"-[pw]\s*"),
        (r"curl|wget", r"(?:-u|-U|--user|--proxy-user)[\s=]*"),
        (r"redis-\w+", r"-a\s+"),
        (r"smbclient|rpcclient|net|winexe|wmic", r"-U\s*[^\s%]*%"),
        (r"snmp\w+", r"-[cAX]\s*"),
        (r"openssl", r"-[kK]\s+|-pass(?:in|out)?\s+pass:"),
        (r"ipmitool|mosquitto_\w+|sqlcmd|bcp|isql|tsql|zip|unzip|zipcloak", r"-P\s*"),
        (r"\w*freerdp\w*", r"/p:"),
        (r"nsupdate|dig|rndc", r"-y\s+"),
        (r"htpasswd", r"-\w{0,5}b\w{0,5}\s+\S+\s+\S+\s+"),
    )
]


def without_secrets(text: str) -> str:
    """The text with `***` in place of what is named, or said, as secrets are."""
    for programs, options in _SHORT:
        found = programs.search(text)
        if found is not None:
            text = text[: found.end()] + options.sub(rf"\1{STRUCK}", text[found.end() :])
    text = _OPTION.sub(rf"\1{STRUCK}", text)
    return _NAMED.sub(rf"\1{STRUCK}", without_credentials(text))


def without_credentials(text: str) -> str:
    """The same of what is a secret by its form alone: for what a person reads, where a word may be meant as it is."""
    text = _WEB_HOOK.sub(rf"\1{STRUCK}", text)
    text = _IN_ADDRESS.sub(_of_address, text)
    text = _HEADER.sub(rf"\1{STRUCK}", text)
    return _BEARER.sub(rf"\1{STRUCK}", text)


def is_secrets(name: str) -> bool:
    """Whether a value of this name is one."""
    return re.fullmatch(rf"(?i){_NAME}", name) is not None


def _of_address(found: re.Match[str]) -> str:
    user, colon, _ = found[2].partition(":")
    return f"{found[1]}{user}:{STRUCK}@" if colon else f"{found[1]}{STRUCK}@"
