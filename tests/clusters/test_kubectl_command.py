"""`labkit kubectl`: kubectl itself, for the cluster that notebooks use."""

from __future__ import annotations

import os
import subprocess
import sys

from labkit.clusters import manage


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labkit", "kubectl", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_all_arguments_are_kubectls_own(labkit_home, kubectl):
    said = _run("get", "pods")
    assert said.returncode == 1
    assert said.stderr.startswith("labkit: There is no cluster lab.")
    manage.up("lab", 1)
    assert _run("-n", "default", "get", "nodes", "-o", "name").stdout == "node/lab-worker\n"
    assert "Display one or many resources" in _run("get", "-h").stdout
    assert _run("get", "nothing").returncode == 1
    command = "jsonpath={.spec.template.spec.containers[0].command}"
    job = ("create", "job", "x", "--image=busybox", "--dry-run=client", "-o", command)
    made = _run(*job, "--", "ls", "--", "-l")
    assert made.stdout == '["ls","--","-l"]'


def test_where_it_is_absent_the_way_to_get_it_is_said(labkit_home):
    said = _run("get", "pods", PATH="/nonexistent")
    assert said.returncode == 1
    assert "conda install -c conda-forge kubernetes-client" in said.stderr
