"""Words of a text that may be names of files, however the text writes them.

The one rule it keeps: too many are better than too few. A word that names nothing costs one look into a set. A name
that was not found here is a file that may be changed after somebody approved what uses it.

    written                                               read as
    ----------------------------------------------------------------------------------------------------------
    `sh tools/a.sh`, `src=a`, `[a, b]`                    its words, and their parts between `=`, `@`, `,` and the like
    `sh tools/a=1@hq.sh`                                  what stands between blanks as well, whatever is in it
    `'tools/a b.sh'`, `tools/a\\ b.sh`                     the name with its blank
    `{{ playbook_dir }}/tools/a b.sh`                     what is left without the template
    `{{ x }}/tools/pre-{{ y }}.sh`                        the folder; `pre-*.sh` wherever names may start
    `{{ ['tools', 'a.sh'] | path_join }}`                 `tools/a.sh`
    `{{ inventory_dir ~ '/../tools/pre-' ~ y ~ '.sh' }}`  `…/../tools/pre-{{ y }}.sh`
    `{{ '%s/tools/a-%s.sh' | format(x, y) }}`             the same; `{{ x | dirname }}/tools` is `…/../tools`
    `sh tools/pre-$Y.sh`, `tools/pre-{a,b}.sh`            as a template in their place
    `d=tools; sh $d/a.sh`                                 `tools/a.sh`
    `cd tools`, `-C tools`, `-m tools.fence`              the folder; of `run-parts tools`, `find tools` too
    `make fence`, `docker compose up`                     what such a program reads by itself where it begins
"""

from __future__ import annotations

import re
from collections.abc import Iterator

YAML = (".yml", ".yaml")
NAME_MAX = 200  # characters of a name with blanks in it
_BETWEEN_WORDS = re.compile(r"[\s\"'=,;:|(){}\[\]<>@`]+")
_BETWEEN_PARTS = re.compile(r"[~+$\\]+")  # what joins texts, or stands before a variable
_QUOTED = re.compile(r"\"([^\"\n]{1,200})\"|'([^'\n]{1,200})'")
_TEMPLATE = re.compile(r"\{\{[^{}\n]*\}\}|\{%[^{}\n]*%\}")
_OF_HOME = re.compile(r"\{\{[^{}\n]*\bHOME\b[^{}\n]*\}\}|\$HOME\b|\$\{HOME\}")
_OF_ABOVE = re.compile(r"\{\{[^{}\n|]*\|\s*(?:ansible\.builtin\.)?dirname\s*\}\}")
_SAID_LATER = "\0"  # in place of a template
_EXPRESSION = re.compile(r"\{[{%]([^{}\n]*(?:\{[^{}\n]*\}[^{}\n]*)*)[%}]\}")
_OF_EXPRESSION = re.compile(  # a text; the folder above; what joins; what ends a value; what is only known later
    r"(?P<text>\"[^\"\n]*\"|'[^'\n]*')|(?P<above>\|\s*(?:ansible\.builtin\.)?dirname\b)|(?P<joined>[~+\s)]+)"
    r"|(?P<end>[,:|\[\]{}]|[\w.]*\()|(?P<later>[^\s\"'~+,:|()\[\]{}]+)"
)
_PUTS_TOGETHER = re.compile(r"[~+%]|dirname|format")
_FORMATTED = re.compile(r"%[sd]|\{\d*\}")
_BY_SHELL = re.compile(r"\$\{[^{}\n]*\}|\$\w+|\{[^\s{},\"']*(?:,[^\s{},\"']*)+\}")  # said later, too: $X, {a,b}
_ASSIGNED = re.compile(r"(?:^|(?<=[\s;&|(\"']))([A-Za-z_]\w*)=[\"']?([\w.-]*[\w./-]+)")
_BETWEEN_COMMANDS = re.compile(r"[\s;&|<>()`]+")
_USED = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_BETWEEN_BLANKS = re.compile(r"(?:\\[^\n]|[^\s\"'\\])+")
_ESCAPED = re.compile(r"\\(.)")
_JOINED = re.compile(r"\[([^\[\]\n]*)\]\s*\|\s*(?:ansible\.builtin\.)?(?:path_join|join)\b")
_BY_SSH = re.compile(
    r"(?i)\b(UserKnownHostsFile|ControlPath)[ =]+(\"[^\"\n]*\"|[^\s'\";&|<>()]+)"
)  # it writes there itself
_FROM_THERE = re.compile(
    r"(?:(?:\b(?:cd|pushd|run-parts(?:\s+-\S+)*|find)|(?<!\S)-(?:C|m))\s+"
    r"|(?<!\S)--?(?:chdir|cwd|workdir|(?:project-)?directory)[ =])"
    r"[\"']?([\w./-]+)"
)  # a folder where a program begins
_BEHIND_VARIABLE = re.compile(r"\$\w+(/[\w./-]+)")  # . "$HERE/lib.sh"
# What a script loads: Python from beside it, or from where it says that modules are; Ruby from beside it.
_IMPORTS = re.compile(r"(?m)^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+([\w.][\w., \t]*))")
_REQUIRES = re.compile(r"\brequire_relative[ \t(]+[\"']([\w./-]+)[\"']")
_LOADS_FROM = re.compile(r"(?m)^.*(?:\bsys\.path\b|\buse[ \t]+lib\b).*$")
# Where a command begins: a line, or what a shell takes for one; behind words that start another, and variables for it.
_STARTED = re.compile(
    r"(?m)(?:^|[;&|({`])[ \t]*(?:(?:(?:do|then|else|exec|sudo|nohup|time|env)(?:[ \t]+-\S+)*|\w+=\S*)[ \t]+)*"
    r"(?:[\w./~-]*/)?([a-z][\w-]*)"
)
_COMPOSE = tuple(f"{a}compose{b}.{c}" for a in ("", "docker-") for b in ("", ".override") for c in ("yml", "yaml"))
_MAKE = ("Makefile", "makefile", "GNUmakefile")
_NODE = ("package.json", ".npmrc", ".yarnrc", ".yarnrc.yml")
_TERRAFORM = ("*.tf", "*.tf.json", "*.tfvars", "*.tfvars.json", ".terraformrc")
BY_ITSELF = {  # what programs read where they begin, though nobody names it
    "make": _MAKE, "gmake": _MAKE, "cmake": ("CMakeLists.txt",), "ninja": ("build.ninja",),
    "docker": (*_COMPOSE, "Dockerfile", ".env"), "docker-compose": (*_COMPOSE, ".env"),
    "podman": (*_COMPOSE, "Containerfile", "Dockerfile", ".env"), "podman-compose": (*_COMPOSE, ".env"),
    "terraform": _TERRAFORM, "tofu": _TERRAFORM, "terragrunt": ("terragrunt.hcl", *_TERRAFORM),
    "packer": ("*.pkr.hcl", "*.pkrvars.hcl"), "vagrant": ("Vagrantfile",), "pulumi": ("Pulumi.yaml", "Pulumi.yml"),
    "kubectl": ("kustomization.yaml", "kustomization.yml"), "kustomize": ("kustomization.yaml", "kustomization.yml"),
    "helmfile": ("helmfile.yaml",), "skaffold": ("skaffold.yaml",),
    "ansible": ("ansible.cfg",), "ansible-playbook": ("ansible.cfg",),
    "npm": _NODE, "npx": _NODE, "yarn": _NODE, "pnpm": _NODE, "bun": _NODE, "node": _NODE,
    "rake": ("Rakefile",), "bundle": ("Gemfile", "Rakefile"), "just": ("justfile", "Justfile", ".justfile"),
    "task": ("Taskfile.yml", "Taskfile.yaml"), "invoke": ("tasks.py",), "inv": ("tasks.py",), "fab": ("fabfile.py",),
    "pytest": ("conftest.py", "pytest.ini"), "tox": ("tox.ini",), "nox": ("noxfile.py",), "cargo": ("Cargo.toml",),
    "mvn": ("pom.xml",), "gradle": ("build.gradle", "build.gradle.kts"), "ant": ("build.xml",),
}  # fmt: skip
"""A program by its name, to names of files; `*` stands for any."""


def words_in(text: str) -> Iterator[str]:
    """Whatever in a text may be a name: with blanks in it, if it is quoted or the text itself."""
    text = _BY_SSH.sub(" ", text)
    yield from _wholes(text)
    for word in _BETWEEN_WORDS.split(text):
        yield word
        yield from _BETWEEN_PARTS.split(word)
        if word.startswith("-"):
            yield word[2:]  # an option's value: -Fssh.cfg
    yield from _beside_templates(text)
    for chain in _expressed(text):
        for word in dict.fromkeys((chain, *chain.split())):
            yield from _computed(word)
    yield from _as_a_shell_reads(text)
    yield from _BEHIND_VARIABLE.findall(text)
    for found in _FROM_THERE.finditer(text):
        yield f"{found[1]}/"
        yield f"{found[1].replace('.', '/')}/"  # Python's own spelling: -m tools.fence
    for found in _JOINED.finditer(text):
        yield "/".join(x[1] or x[2] for x in _QUOTED.finditer(found[1]))
    for found in _STARTED.finditer(text):
        yield from BY_ITSELF.get(found[1], ())
    yield from _loaded(text)


def is_pattern(word: str) -> bool:
    """Whether it stands for files of one kind, wherever names may start: `*.tf`. Not for all of YAML's."""
    name, _, suffix = word.rpartition(".")
    return "*" in name and "/" not in word and suffix.isalnum() and not (name == "*" and f".{suffix}" in YAML)


def _wholes(text: str) -> Iterator[str]:
    """The text itself, and what is quoted in it."""
    for whole in (text, *(found[1] or found[2] for found in _QUOTED.finditer(text))):
        if len(whole) <= NAME_MAX and "\n" not in whole:
            yield whole.strip()


def _beside_templates(text: str) -> Iterator[str]:
    """Names as they stand without the templates in them, with any sign and any blank that was meant."""
    text = _TEMPLATE.sub(_SAID_LATER, _OF_ABOVE.sub(f"{_SAID_LATER}/..", _OF_HOME.sub("~", text)))
    if _SAID_LATER in text:
        for whole in _wholes(text):
            yield from (part.strip() for part in whole.split(_SAID_LATER))
    for found in _BETWEEN_BLANKS.finditer(text):
        word = found[0]
        if "\\" in word:
            word = _ESCAPED.sub(r"\1", word)
            yield word
        if _SAID_LATER not in word:
            yield word
            continue
        yield from _computed(word)


def _computed(word: str) -> Iterator[str]:
    """Of a name that is only known later: its pieces, the folder, and what the name may be."""
    yield from word.split(_SAID_LATER)
    folder, _, name = word.rpartition("/")
    yield from (f"{part}/" for part in folder.split(_SAID_LATER) if part)
    yield name.replace(_SAID_LATER, "*")


def _expressed(text: str) -> Iterator[str]:
    """The values that templates put together from pieces, each as one text."""
    for expression in _EXPRESSION.findall(text):
        if not _PUTS_TOGETHER.search(expression):
            continue
        chain = ""
        for piece in _OF_EXPRESSION.finditer(expression):
            if piece["text"]:
                chain += _FORMATTED.sub(_SAID_LATER, piece["text"][1:-1])
            elif piece["above"]:
                chain = f"{chain or _SAID_LATER}/.."
            elif piece["end"]:
                yield chain
                chain = ""
            elif piece["later"] and not chain.endswith(_SAID_LATER):
                chain += _SAID_LATER
        yield chain


def _as_a_shell_reads(text: str) -> Iterator[str]:
    """Words whose quotes are gone, with what is assigned in the same text, and what a shell puts in their place."""
    known = dict(_ASSIGNED.findall(text)) if "$" in text else {}
    for word in dict.fromkeys(_BETWEEN_COMMANDS.split(text)):
        if len(word) > NAME_MAX or not any(mark in word for mark in "$\"'{"):
            continue
        plain = word.replace('"', "").replace("'", "")
        there = _USED.sub(lambda x: known.get(x[1] or x[2], x[0]), plain) if known else plain
        for each in dict.fromkeys((plain, there)):
            if _SAID_LATER in (later := _BY_SHELL.sub(_SAID_LATER, each)):
                yield from _computed(later)
            elif "/" in each:
                yield each


def _loaded(text: str) -> Iterator[str]:
    """What a script loads by a name that is not the file's own: modules and packages, and folders that hold them."""
    for found in _IMPORTS.finditer(text):
        for module in (found[1] or found[2]).split(","):
            top = module.split()[0].strip(".").partition(".")[0] if module.strip() else ""
            if top:
                yield from (f"{top}.py", f"{top}/")
    for name in _REQUIRES.findall(text):
        yield f"{name}.rb"
    for line in _LOADS_FROM.findall(text):
        said = [found[1] or found[2] for found in _QUOTED.finditer(line)]
        yield from (f"{name}/" for name in (*said, "/".join(said)))
