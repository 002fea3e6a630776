# SPDX-License-Identifier: GPL-3.0-or-later
"""Has Ansible's readers of tasks, roles and plays tell what they find, and go on after a fault.

The one rule it keeps: Ansible decides what is refused, and with which words. Here it is only noted.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.syntax.found import Look, is_template, no_module, origin

ADDING = ("add_host", "group_by")
NO_PLUG_IN = ("smart", "persistent")  # names of connections that Ansible itself turns into others
MISSING = "couldn't resolve module/action "
TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


def remember() -> None:
    """What a name stands for is looked up once in each process."""
    import ansible.parsing.mod_args as mod_args

    find = mod_args._get_action_context
    known: dict[Any, Any] = {}

    def found(name: str, collections: Any) -> Any:
        key = name, tuple(collections or ())
        if key not in known:
            known[key] = find(name, collections)
        return known[key]

    mod_args._get_action_context = found


def read_alone() -> None:
    """Of files Ansible keeps what it has read, and hands out deep copies; a reading for each is quicker here."""
    from ansible.parsing.dataloader import DataLoader

    read = DataLoader.load_from_file

    def loaded(self: Any, file_name: str, cache: str = "all", unsafe: bool = False, *args: Any, **kwargs: Any) -> Any:
        return read(self, file_name, "none", True, *args, **kwargs)

    DataLoader.load_from_file = loaded


def plug_ins(folder: str) -> set[str]:
    """Folders of plug-ins that a playbook of this folder has added, beside those that are the folder's own."""
    from ansible.plugins import loader

    added = (str(path) for _, kind in loader.get_all_plugin_loaders() for path in kind._extra_dirs)
    return {path for path in added if os.path.dirname(path) != folder}


@contextlib.contextmanager
def watch(look: Look) -> Iterator[None]:
    """Have Ansible's readers of tasks, roles and plays tell what they find, and go on after a fault."""
    with contextlib.ExitStack() as undo:
        _watch(look, undo)
        yield


def _watch(look: Look, undo: contextlib.ExitStack) -> None:
    import ansible.parsing.mod_args as mod_args
    from ansible.errors import AnsibleError, AnsibleParserError
    from ansible.playbook import (
        base,
        block,
        handler_task_include,
        play,
        playbook_include,
        role,
        role_include,
        task_include,
    )
    from ansible.playbook.role import definition

    def put(where: Any, name: str, value: Any) -> None:
        inherited = name not in vars(where)
        undo.callback(delattr, where, name) if inherited else undo.callback(setattr, where, name, vars(where)[name])
        setattr(where, name, value)

    parse = mod_args.ModuleArgsParser.parse

    def parsed(self: Any, skip_action_validation: bool = False) -> Any:
        try:
            action, args, delegate_to = parse(self, skip_action_validation=skip_action_validation)
        except AnsibleParserError as error:
            names = [k for k in self._task_ds if k not in self._task_attrs and not k.startswith("with_")]
            if not skip_action_validation:  # it is asked twice; this is the thorough one
                if str(error).startswith(MISSING):
                    no_module(look, names[0], names[0] if origin(names[0]) else self._task_ds)
                else:
                    look.fault(str(error).splitlines()[0], self._task_ds)
            return names[0] if names else "meta", {}, self._task_ds.get("delegate_to", mod_args.Sentinel)
        if not skip_action_validation:
            note_action(look, action, args, self._task_ds, self._collection_list)
        return action, args, delegate_to

    put(mod_args.ModuleArgsParser, "parse", parsed)

    validate = base.FieldAttributeBase._validate_attributes

    def validated(self: Any, ds: Any) -> None:
        try:
            validate(self, ds)
        except AnsibleParserError as error:
            bad = [key for key in ds if key not in self.fattributes]
            look.fault(str(error).splitlines()[0], bad[0] if bad and origin(bad[0]) else ds)
        note_plug_ins(look, ds)

    put(base.FieldAttributeBase, "_validate_attributes", validated)

    find_role = definition.RoleDefinition._load_role_path

    def found_role(self: Any, role_name: Any) -> Any:
        try:
            return find_role(self, role_name)
        except AnsibleError as error:
            if "was not found in" not in str(error):
                raise
            collection = str(role_name).rpartition(".")[0]
            wanted = "a role beside the playbook, below 'roles', or where 'roles_path' leads"
            if collection.count(".") == 1:
                wanted = f"its collection to be there: ansible-galaxy collection install {collection}"
            where = role_name if origin(role_name) else self._ds
            look.fault(f"there is no role {str(role_name)!r}", where, lacks=True, wanted=wanted)
            return role_name, look.empty

    put(definition.RoleDefinition, "_load_role_path", found_role)

    load_tasks = block.load_list_of_tasks

    def each_alone(ds: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(ds, list):
            return load_tasks(ds, *args, **kwargs)
        found = []
        for task in ds:
            if not isinstance(task, dict):
                look.fault("this is no task", task if origin(task) else ds, wanted="a mapping with a module's name")
                continue
            try:
                found += load_tasks([task], *args, **kwargs)
            except AnsibleError as error:
                look.error(error, task)
        return found

    put(block, "load_list_of_tasks", each_alone)

    load_role = role.Role.load

    def loaded_role(asked: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return load_role(asked, *args, **kwargs)
        except AnsibleError as error:
            look.error(error, asked.get_ds())
            asked._role_path = look.empty
            return load_role(asked, *args, **{**kwargs, "from_files": None})

    put(role.Role, "load", staticmethod(loaded_role))

    load_play = play.Play.load

    def loaded_play(ds: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return load_play(ds, *args, **kwargs)
        except AnsibleError as error:
            look.error(error, ds)
            return load_play({"hosts": ds.get("hosts", "all")}, *args, **kwargs)

    put(play.Play, "load", staticmethod(loaded_play))

    load_import = playbook_include.PlaybookInclude.load

    def loaded_import(ds: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return load_import(ds, *args, **kwargs)
        except AnsibleError as error:
            look.error(error, next((ds[key] for key in ds if str(key).endswith("import_playbook")), ds))
            return None

    put(playbook_include.PlaybookInclude, "load", staticmethod(loaded_import))

    def noting(kind: Any) -> None:
        load = kind.load

        def loaded(*args: Any, **kwargs: Any) -> Any:
            task = load(*args, **kwargs)
            look.included.append((task, look.soft))
            return task

        put(kind, "load", staticmethod(loaded))

    for kind in (task_include.TaskInclude, handler_task_include.HandlerTaskInclude, role_include.IncludeRole):
        noting(kind)

    post_validate = play.Play.post_validate

    def post_validated(self: Any, templar: Any) -> None:
        post_validate(self, templar)
        written = (self.get_ds() or {}).get("hosts")
        names = self.hosts if isinstance(self.hosts, list) else [self.hosts]
        look.plays.append({"hosts": [str(name) for name in names], "at": origin(written) or origin(self.get_ds())})

    put(play.Play, "post_validate", post_validated)


def note_plug_ins(look: Look, ds: Any) -> None:
    """A strategy, a connection or a way of becoming that is not there."""
    from ansible.plugins import loader

    for key, kind in (
        ("strategy", loader.strategy_loader),
        ("connection", loader.connection_loader),
        ("become_method", loader.become_loader),
    ):
        name = ds.get(key)
        if not isinstance(name, str) or is_template(name) or name in NO_PLUG_IN or kind.find_plugin(name):
            continue
        only_if = key == "become_method"
        told = f"there is no {key} {name!r}" + (": who becomes by it fails when it runs" if only_if else "")
        known = {os.path.splitext(os.path.basename(path))[0] for path in kind.all(path_only=True)}
        near = difflib.get_close_matches(name, known, n=1)
        look.fault(told, name, soft=only_if, lacks=True, near=near[0] if near else None,
                   wanted="" if near else "a plug-in that is installed here")  # fmt: skip


def note_action(look: Look, action: str, args: Any, ds: Any, collections: Any) -> None:
    """What an action says of itself, and of the hosts that later plays have."""
    from ansible.parsing.mod_args import BUILTIN_TASKS, _get_action_context

    plain = str(action).rpartition(".")[2]
    written = ds.get("action", ds.get("local_action"))
    if written is not None:
        if is_template(action):
            look.fault(f"which module {action} is, only Ansible can know when it runs", written, soft=True)
        elif action not in BUILTIN_TASKS:
            context = _get_action_context(action, collections)
            if not (context.resolved and context.redirect_list):
                no_module(look, str(action), written)
    given = args if isinstance(args, Mapping) else {}
    if plain in ADDING:
        keys = ("key", "parents", "groups", "group", "groupname", "name", "host", "hostname")
        values = [given[key] for key in keys if key in given]
        for value in (v for item in values for v in (item if isinstance(item, list) else str(item).split(","))):
            look.added.append(pattern_of(str(value).strip()))
    elif plain == "meta" and "refresh_inventory" in str(given.get("_raw_params")):
        look.late = "the inventory is read again by a task"


def pattern_of(text: str) -> str:
    """A regular expression of what a text with templates in it may become."""
    return ".*".join(re.escape(part) for part in TEMPLATE.split(text))
