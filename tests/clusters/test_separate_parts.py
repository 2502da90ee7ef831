"""The rules by which separate parts are named, known, and started again."""

from __future__ import annotations

import pytest

from labkit.apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from labkit.clusters import roster, settings, supervise
from labkit.errors import UsageError


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 0.1), (2, 0.2), (3, 0.4), (7, 6.4), (8, 10), (50, 10)]
)
def test_a_part_that_keeps_ending_waits_ever_longer(failures: int, seconds: float):
    assert supervise.delay(failures) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("part", "user", "group"),
    [
        ("kube-scheduler", "system:kube-scheduler", None),
        ("kubelet/lab-worker2", "system:node:lab-worker2", "system:nodes"),
        (
            "coredns",
            "system:serviceaccount:kube-system:coredns",
            "system:serviceaccounts:kube-system",
        ),
    ],
)
def test_every_part_has_the_identity_that_upstream_gives_it(part: str, user: str, group):
    name, groups = roster.identity(part)
    assert name == user
    assert group is None or group in groups
    assert "system:masters" not in groups


def test_the_api_server_is_started_first():
    parts = roster.parts(["lab-worker"])
    assert parts[0] == "kube-apiserver"
    assert "kubelet/lab-worker" in parts
    assert len({roster.certificate(part) for part in parts}) == len(parts)


@pytest.mark.parametrize(
    ("flag", "text", "kind"),
    [
        ("default-unreachable-toleration-seconds", "30s", "a whole number of seconds"),
        ("node-monitor-period", "5", "a duration"),
        ("horizontal-pod-autoscaler-tolerance", "10%", "a number"),
    ],
)
def test_a_setting_says_what_it_takes(flag: str, text: str, kind: str):
    with pytest.raises(UsageError, match=f"It takes {kind}"):
        settings.number(flag, text)


def test_a_part_gets_its_own_settings():
    numbers = settings.complete({"default-unreachable-toleration-seconds": "7"})
    of_server = settings.of_part("kube-apiserver", numbers)
    assert of_server["default_unreachable_toleration_seconds"] == 7
    assert "node_monitor_period" not in of_server
    assert DefaultTolerationSeconds().unreachable == 300
