"""A hand-over to the cloud waits for a backup begun after the application had stopped: real moto, real Ansible."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

WORKSPACE = Path(__file__).parents[3]
PREFIX = "erp/"
STOPPED = "20200101T120030"  # by the clock of the database's host, which is not the controller's


def _wait(api: str, tmp_path: Path, newest: str) -> subprocess.CompletedProcess[str]:
    """The middle play of the hand-over, where the newest backup has this stamp."""
    python = tmp_path / "python"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "date").write_text(f"#!/bin/sh\necho {STOPPED}Z\n")
    python.write_text(f'#!/bin/sh\nPATH="{tmp_path}/bin:$PATH" exec "{sys.executable}" "$@"\n')
    for program in (python, tmp_path / "bin" / "date"):
        program.chmod(0o755)
    (tmp_path / "hosts.ini").write_text(
        f"[controller]\nnoc ansible_connection=local ansible_python_interpreter={sys.executable}\n"
        f"[databases]\nhq-db ansible_connection=local ansible_python_interpreter={python}\n"
        "[hq]\nhq-db\n[applications]\n"
        f"[all:vars]\nbackup_bucket=acme-backups\nbackup_prefix={PREFIX}\naws_region=us-east-1\nhand_over_tries=2\n"
    )
    keys = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab", "AWS_ENDPOINT_URL": api}
    s3 = boto3.client(
        "s3", endpoint_url=api, region_name="us-east-1", aws_access_key_id="lab", aws_secret_access_key="lab"
    )
    key = f"{PREFIX}{newest}Z-hq-db.dump"
    s3.put_object(Bucket="acme-backups", Key=key, Body=b"whole")
    own = {"ANSIBLE_CONFIG": str(WORKSPACE / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path / "ansible")}
    own |= {"ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"), "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote")}
    playbook = WORKSPACE / "playbooks" / "cloud" / "ship_and_stop.yml"
    words = [
        Path(sys.executable).parent / "ansible-playbook",
        "-i",
        tmp_path / "hosts.ini",
        "-l",
        "controller",
        playbook,
    ]
    try:
        return subprocess.run(
            words, env=os.environ | keys | own, cwd=WORKSPACE, capture_output=True, text=True, timeout=120, check=False
        )
    finally:
        s3.delete_object(Bucket="acme-backups", Key=key)


def test_a_backup_of_a_later_second_has_everything(api: str, tmp_path: Path) -> None:
    """By the clock that names the backups, whatever the controller's says."""
    done = _wait(api, tmp_path, "20200101T120031")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("newest", ["20200101T120029", STOPPED])
def test_a_backup_of_the_second_in_which_it_stopped_may_lack_the_last(api: str, tmp_path: Path, newest: str) -> None:
    """It may have been begun before the last transaction of that second."""
    done = _wait(api, tmp_path, newest)
    assert done.returncode != 0
    assert "Wait for a backup that was begun since" in done.stdout
    assert "attempts: 2" in done.stdout
