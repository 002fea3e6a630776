"""Inside the sandbox: one target of Ansible's, played one way: `inside.py WHERE TARGET ssh|local cold|warm|fast KEPT`.

The one rule it keeps: it sets up what ansible-test would set up, and no more.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

# What targets `source`: of the usual environment, since nothing can be installed in here; and the installer.
_VIRTUALENV = """
mkdir -p "$OUTPUT_DIR/venv/bin"
printf '#!/bin/sh\\nexec %s "$@"\\n' "$ANSIBLE_TEST_PYTHON_INTERPRETER" >"$OUTPUT_DIR/venv/bin/python"
chmod +x "$OUTPUT_DIR/venv/bin/python"
PATH="$OUTPUT_DIR/venv/bin:$PATH"
"""
_PROGRAMS = {
    "ansible-playbook": f'exec {sys.executable} {Path(__file__).with_name("shim.py")} "$@"\n',
    "virtualenv.sh": _VIRTUALENV,
    "pip": "exit 0\n",
    "python.py": f'exec {sys.executable} "$@"\n',
}
HOME = "/root/home"
PATIENCE = 10  # times the seconds that a target gives its own calls: it may meet a busy machine
_SSHD = """
Port 22
ListenAddress 127.0.0.1
HostKey {home}/host
AuthorizedKeysFile {home}/user.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
PidFile none
MaxStartups 100
SetEnv {environment}
"""


def main() -> int:
    """Its exit code is the target's."""
    source, target, connection, way, kept = Path(sys.argv[1]), *sys.argv[2:5], Path(sys.argv[5])
    for place in (Path("/root"), *Path(sys.executable).resolve().parents):  # other users run this Python, too
        if place not in Path(__file__).parents:  # that one is no copy, as all the rest is
            place.chmod(place.stat().st_mode | 0o055)
    home = Path("/root/targets")  # writable, and the same each time
    shutil.copytree(source / "test" / "integration", home, symlinks=True)
    patient = home / "targets" / "test_utils" / "scripts" / "timeout.py"
    patient.write_text(patient.read_text().replace("args.duration)", f"args.duration * {PATIENCE})"))
    here = home / "targets" / target
    work = Path("/root/output")
    work.mkdir()
    programs = Path("/root/programs")
    programs.mkdir()
    for name, text in _PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}")
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    host = {"ansible_python_interpreter": sys.executable, "ansible_pipelining": True}
    if connection == "ssh":
        host |= _ssh_server(work.parent, {"PATH": path, "HOME": HOME, "TARGETS_WAY": way, "TARGETS_KEPT": str(kept)})
    else:
        host |= {"ansible_connection": "local", "ansible_host": "127.0.0.1"}
    inventory = home / "inventory"
    words = " ".join(f"{name}={json.dumps(str(value))}" for name, value in host.items())
    inventory.write_text(f"[testgroup]\ntesthost {words}\ntesthost2 {words}\ntesthost3 {words}\ntesthost4 {words}\n")
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")},
        "PATH": path,
        "HOME": HOME,
        "PYTHONPATH": str(source.parent / "libraries"),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
        "ANSIBLE_HOST_KEY_CHECKING": "false",
        "ANSIBLE_RETRY_FILES_ENABLED": "false",
        "ANSIBLE_FORCE_COLOR": "false",
        "ANSIBLE_PLAYBOOK_DIR": str(here),
        "ANSIBLE_TEST_PYTHON_VERSION": f"{sys.version_info.major}.{sys.version_info.minor}",
        "ANSIBLE_TEST_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_TEST_CONTENT_ROOT": str(source),
        "ANSIBLE_TEST_ANSIBLE_LIB_ROOT": str(source / "lib" / "ansible"),
        "OUTPUT_DIR": str(work),
        "INVENTORY_PATH": str(inventory),
        "TARGETS_WAY": way,
        "TARGETS_KEPT": str(kept),
    }
    Path(environment["HOME"]).mkdir()
    if (here / "runme.sh").exists():
        command = ["./runme.sh"]
        where = here
    else:
        play = {"hosts": "testhost", "gather_facts": "gather_facts/no" not in (here / "aliases").read_text()}
        play |= {"vars": {"output_dir": str(work)}, "roles": [target]}
        (home / f"{target}.yml").write_text(json.dumps([play]))
        environment["ANSIBLE_ROLES_PATH"] = str(home / "targets")
        environment["ANSIBLE_PLAYBOOK_DIR"] = str(home)
        command, where = ["ansible-playbook", f"{target}.yml", "-i", "inventory"], home
    with (kept / "out").open("wb") as out:
        return subprocess.run(command, cwd=where, env=environment, stdout=out, stderr=out, check=False).returncode


def _ssh_server(home: Path, given: dict[str, str]) -> dict[str, str]:
    """Variables of a host behind it. `given`: what commands find there, since targets call `ansible-playbook` there."""
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name], check=True)
    environment = " ".join(f"{name}={value}" for name, value in given.items())
    (home / "sshd.conf").write_text(_SSHD.format(home=home, environment=environment))
    Path("/run/sshd").mkdir(exist_ok=True)
    with Path("/etc/passwd").open("a+") as logins:  # sshd may be unpacked only, and lack its own
        logins.seek(0)
        if "\nsshd:" not in logins.read():
            logins.write("sshd:x:990:65534::/run/sshd:/usr/sbin/nologin\n")
    subprocess.run([shutil.which("sshd") or "/usr/sbin/sshd", "-f", home / "sshd.conf"], check=True)
    own = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes"
    key = {"ansible_ssh_private_key_file": str(home / "user")}
    return {"ansible_host": "127.0.0.1", "ansible_user": "root", "ansible_ssh_common_args": own, **key}


if __name__ == "__main__":
    sys.exit(main())
