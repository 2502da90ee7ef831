"""Whether this machine can run the lab: what is measured, how it is judged, how it is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import labkit
from labkit.clusters import kubectl
from labkit.clusters.doctor import findings, limits
from labkit.clusters.doctor.findings import MIB, Row, State
from labkit.clusters.doctor.limits import Limits
from labkit.clusters.doctor.report import Report
from labkit.kubelet.node_status import KUBELET_VERSION

GIB = 1024 * MIB
V1 = "4:memory:/lab/user\n1:cpu,cpuacct:/lab\n0::/\n"


def _tree(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": cgroup, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("cgroup", "files", "found"),
    [
        pytest.param("0::/\n", {}, Limits(), id="no limits"),
        pytest.param(
            "0::/user/lab\n",
            {
                "sys/fs/cgroup/user/lab/memory.max": "max\n",
                "sys/fs/cgroup/user/lab/cpu.max": "max 100000\n",
                "sys/fs/cgroup/user/memory.max": f"{2 * GIB}\n",
                "sys/fs/cgroup/user/memory.current": f"{GIB}\n",
                "sys/fs/cgroup/user/memory.stat": f"anon 5\ninactive_file {GIB // 2}\n",
                "sys/fs/cgroup/user/cpu.max": "150000 100000\n",
            },
            Limits(2 * GIB, GIB // 2, 1.5),
            id="version 2, the limit of a group above",
        ),
        pytest.param(
            V1,
            {
                "sys/fs/cgroup/memory/lab/user/memory.limit_in_bytes": f"{2**63 - 4096}\n",
                "sys/fs/cgroup/memory/lab/memory.limit_in_bytes": f"{GIB}\n",
                "sys/fs/cgroup/memory/lab/memory.usage_in_bytes": "7\n",
                "sys/fs/cgroup/cpu,cpuacct/lab/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/lab/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            },
            Limits(GIB, 7, 0.5),
            id="version 1",
        ),
        pytest.param(
            "0::/../../outside/of/the/container\n",
            {"sys/fs/cgroup/memory.max": f"{GIB}\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
            Limits(GIB, 0, 1.0),
            id="in a container, whose root is its own group",
        ),
        pytest.param(
            "4:memory:/docker/abc\n0::/docker/abc\n",
            {"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n"},
            Limits(GIB, 0, None),
            id="in a container, version 1",
        ),
    ],
)
def test_the_strictest_limit_counts(tmp_path: Path, cgroup: str, files: dict, found: Limits):
    assert limits.read(_tree(tmp_path, cgroup, files)) == found


def test_a_machine_without_control_groups_has_no_limits(tmp_path: Path):
    assert limits.read(tmp_path) == Limits()


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (findings.python((3, 11, 0)), State.GOOD),
        (findings.python((3, 10, 9)), State.WRONG),
        (findings.system("Linux", "x86_64"), State.GOOD),
        (findings.system("Darwin", "arm64"), State.WRONG),
        (findings.packages([]), State.GOOD),
        (findings.packages(["docker"]), State.WRONG),
        (findings.cpus(2, None), State.GOOD),
        (findings.cpus(2, 0.5), State.WARNING),
        (findings.memory(8 * GIB, 4 * GIB, None, None), State.GOOD),
        (findings.memory(8 * GIB, 4 * GIB, 2 * GIB, GIB + 200 * MIB), State.WARNING),
        (findings.memory(8 * GIB, 300 * MIB, 2 * GIB, 0), State.WRONG),
        (findings.disk(5 * GIB, "/home/a"), State.GOOD),
        (findings.disk(200 * MIB, "/home/a"), State.WARNING),
        (findings.disk(2 * MIB, "/home/a"), State.WRONG),
        (findings.home("/home/a", None), State.GOOD),
        (findings.home("/home/a", "Permission denied"), State.WRONG),
        (findings.loopback([]), State.GOOD),
        (findings.loopback(["127.96.0.1"]), State.WRONG),
        (findings.ranges(9, 10, 1), State.GOOD),
        (findings.ranges(0, 10, 1), State.GOOD),
        (findings.ranges(0, 10, 0), State.WRONG),
        (findings.dns_port(False, 10053), State.GOOD),
        (findings.kubectl("/bin/kubectl", (1, 35), (1, 36), "get it"), State.GOOD),
        (findings.kubectl("/bin/kubectl", (1, 32), (1, 36), "get it"), State.WARNING),
        (findings.kubectl("/bin/kubectl", None, (1, 36), "get it"), State.WARNING),
        (findings.kubectl(None, None, (1, 36), "get it"), State.WRONG),
        (findings.docker(None, ""), State.WARNING),
        (findings.engine("docker", "refused"), State.WRONG),
        (findings.engine("embedded", None), State.GOOD),
    ],
)
def test_each_row_is_judged_and_what_is_not_right_says_what_to_do(row: Row, state: State):
    assert row.state is state
    assert row.do or state is State.GOOD


def test_the_embedded_engine_is_said_to_be_no_isolation():
    assert "no isolation boundary" in findings.engine("embedded", None).found


def test_the_report_is_right_unless_something_essential_is_wrong():
    good, warning = Row("A", "a"), Row("B", "b", State.WARNING, "Mend b.")
    wrong = Row("C", "<c>", State.WRONG, "Mend c.")
    assert Report([good]).title == "The lab can run here."
    assert Report([good, warning]).ok
    assert Report([good, warning]).title == "The lab can run here; mind B."
    report = Report([good, warning, wrong])
    assert not report
    assert report.title == "The lab cannot run here yet: C."
    bundle = report._repr_mimebundle_()
    assert "✗ C          <c>\n             → Mend c." in bundle["text/plain"]
    assert "&lt;c&gt;" in bundle["text/html"]


def test_looking_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    rows = {row.what: row for row in labkit.doctor().rows}
    assert rows["Home"].state is State.GOOD
    assert rows["Addresses"].state is State.GOOD
    assert rows["Clusters"].found == "none yet"
    assert list(tmp_path.iterdir()) == []


def test_the_command_fails_where_something_essential_is_missing(tmp_path: Path):
    command = [sys.executable, "-m", "labkit", "doctor"]
    environment = {**os.environ, "PATH": str(tmp_path), "LABKIT_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "✗ kubectl    not found" in done.stdout
    assert "https://dl.k8s.io/release/v1." in done.stdout


def test_kubectl_is_compared_with_the_version_that_the_cluster_says():
    assert kubectl.API_VERSION == KUBELET_VERSION
