"""The kubelet's HTTPS server."""

import asyncio
import ssl

import aiohttp
import pytest

from labkit.kubelet import Kubelet, server, stats
from labkit.kubelet.server import LogError
from labkit.kubelet.stats import PodUsage, Sample, Usage
from labkit.kubelet.telemetry import cadvisor_text
from tests.kubelet.builders import pod, running
from tests.kubelet.conftest import RUNS_ON, Lab, container, is_ready, shell, waits_for
from tests.serving import Certificates

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"tail": "all", "follow": "false", "timestamps": "false"}),
        ({"tailLines": "5", "follow": "true"}, {"tail": "5", "follow": "true"}),
        ({"sinceSeconds": "60"}, {"since": "1799999940.000000000"}),
        ({"sinceTime": "2027-01-15T08:00:00Z"}, {"since": "1800000000.000000000"}),
        ({"timestamps": "true"}, {"timestamps": "true"}),
        ({"stream": "Stderr"}, {"stdout": "false", "stderr": "true"}),
    ],
)
def test_log_options_become_dockers(query: dict, expected: dict):
    params = server.log_params(query, NOW)
    assert {key: params[key] for key in expected} == expected


@pytest.mark.parametrize("query", [{"sinceSeconds": "x"}, {"tailLines": "x"}, {"limitBytes": "x"}])
def test_options_that_are_no_numbers_are_refused(query: dict):
    with pytest.raises(LogError, match="Unable to decode query"):
        server.log_params(query, NOW)


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, b"abcdef"), (0, b""), (2, b"ab"), (4, b"abcd"), (99, b"abcdef")]
)
async def test_bytes_are_limited(limit: int | None, expected: bytes):
    async def chunks():
        yield b"abc"
        yield b"def"

    assert b"".join([chunk async for chunk in server.limited(chunks(), limit)]) == expected


def test_samples_leave_out_the_inactive_page_cache():
    answer = {
        "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
        "memory_stats": {"usage": 1000, "stats": {"total_inactive_file": 300}},
    }
    assert stats.sample(answer, NOW) == Sample(2.5, 700, NOW)
    assert stats.sample({}, NOW) == Sample(0.0, 0, NOW)


def test_metrics_read_as_the_real_kubelets():
    got = Sample(1.5, 4096, NOW)
    one = PodUsage(pod(), {"app": (running(), got)}, got)
    lines = stats.prometheus_text(Usage(got, (one,))).splitlines()
    where = 'namespace="default",pod="web"'
    assert (
        f'container_cpu_usage_seconds_total{{container="app",{where}}} 1.5 1800000000000' in lines
    )
    assert f"pod_memory_working_set_bytes{{{where}}} 4096 1800000000000" in lines
    assert "node_cpu_usage_seconds_total 1.5 1800000000000" in lines
    assert "# TYPE node_cpu_usage_seconds_total counter" in lines
    assert "resource_scrape_error 0" in lines


def test_a_limited_container_tells_how_often_it_had_to_wait():
    throttling = {"periods": 50, "throttled_periods": 20, "throttled_time": 1_500_000_000}
    limited = stats.sample({"cpu_stats": {"throttling_data": throttling}}, NOW)
    one = PodUsage(pod(), {"app": (running(), limited), "free": (running(), Sample(1, 2))}, limited)
    lines = cadvisor_text(Usage(limited, (one,))).splitlines()
    found = {line.partition("{")[0]: line.split()[-1] for line in lines if "_cfs_" in line}
    assert found["container_cpu_cfs_throttled_periods_total"] == "20.0"
    assert found["container_cpu_cfs_throttled_seconds_total"] == "1.5"
    assert not [line for line in lines if "_cfs_" in line and 'container="free"' in line]


async def get(kubelet: Kubelet, path: str) -> tuple[int, str]:
    """(status, text) of one request."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{kubelet.port}{path}") as answer,
    ):
        return answer.status, await answer.text()


LOGS = "/containerLogs/default/web/app"


async def test_logs_are_the_containers_output(lab: Lab):
    kubelet = await lab.kubelet()
    script = "echo one; echo two >&2; sleep 0.3; echo three; " + RUNS_ON
    await lab.create({"containers": [shell(script)]})
    await lab.until(is_ready)

    async def incomplete() -> bool:
        return len((await get(kubelet, LOGS))[1].splitlines()) < 3

    await lab.settle(incomplete)
    status, text = await get(kubelet, LOGS)
    assert status == 200
    assert sorted(text.splitlines()) == ["one", "three", "two"]
    assert (await get(kubelet, LOGS + "?stream=Stderr"))[1] == "two\n"
    assert (await get(kubelet, LOGS + "?stream=Stdout&tailLines=1"))[1] == "three\n"
    assert (await get(kubelet, LOGS + "?stream=Stdout&limitBytes=2"))[1] == "on"
    stamped = (await get(kubelet, LOGS + "?stream=Stderr&timestamps=true"))[1]
    assert stamped.endswith("Z two\n")


async def test_logs_are_followed_to_the_containers_end(lab: Lab):
    kubelet = await lab.kubelet()
    await lab.create({"containers": [shell("sleep 0.5; echo end")], "restartPolicy": "Never"})
    await lab.until(lambda pod: container(pod)["state"].get("running"))
    async with asyncio.timeout(20):
        status, text = await get(kubelet, LOGS + "?follow=true")
    assert (status, text) == (200, "end\n")


async def test_logs_of_the_previous_run_are_kept(lab: Lab):
    kubelet = await lab.kubelet()
    await lab.create({"containers": [shell("echo again; exit 1")]})
    await lab.until(waits_for("CrashLoopBackOff"))
    assert await get(kubelet, LOGS) == (200, "again\n")
    assert await get(kubelet, LOGS + "?previous=true") == (200, "again\n")


async def test_logs_that_cannot_be_had_are_explained(embedded: Lab):
    kubelet = await embedded.kubelet()
    await embedded.create({"containers": [{**shell(""), "image": "registry.invalid/no:1"}]})
    await embedded.until(waits_for("ErrImagePull"))
    assert await get(kubelet, LOGS) == (
        400,
        'container "app" in pod "web" is waiting to start: image can\'t be pulled',
    )
    assert await get(kubelet, LOGS + "?previous=true") == (
        400, 'previous terminated container "app" in pod "web" not found'
    )  # fmt: skip
    assert (await get(kubelet, "/containerLogs/default/web/none"))[0] == 400
    assert await get(kubelet, "/containerLogs/default/none/app") == (404, 'pod "none" not found')


async def test_usage_is_measured_per_container_pod_and_node(lab: Lab):
    kubelet = await lab.kubelet()
    await lab.create({"containers": [shell("i=0; while :; do i=$((i+1)); done")]})
    await lab.until(is_ready)

    async def idle() -> bool:
        _, text = await get(kubelet, "/metrics/resource")
        name = 'container_cpu_usage_seconds_total{container="app",namespace="default",pod="web"} '
        found = [line for line in text.splitlines() if line.startswith(name)]
        return not found or float(found[0].removeprefix(name).split()[0]) < 0.05

    await lab.settle(idle)
    _, text = await get(kubelet, "/metrics/resource")
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line[0] != "#"}
    assert names == {
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "container_start_time_seconds",
        "node_cpu_usage_seconds_total",
        "node_memory_working_set_bytes",
        "pod_cpu_usage_seconds_total",
        "pod_memory_working_set_bytes",
        "resource_scrape_error",
    }


async def test_a_kubelet_tells_what_runs_on_its_node(embedded: Lab):
    kubelet = await embedded.kubelet()
    await embedded.create({"containers": [shell(RUNS_ON)]})
    await embedded.until(is_ready)
    _, text = await get(kubelet, "/metrics")
    assert "kubelet_running_pods 1.0" in text
    assert 'kubelet_running_containers{container_state="running"} 1.0' in text


async def test_health_pods_and_summary_are_served(embedded: Lab):
    kubelet = await embedded.kubelet()
    await embedded.create({"containers": [shell(RUNS_ON)]})
    await embedded.until(is_ready)
    assert await get(kubelet, "/healthz") == (200, "ok")
    assert '"name":"web"' in (await get(kubelet, "/pods"))[1].replace(" ", "")
    assert '"workingSetBytes"' in (await get(kubelet, "/stats/summary"))[1]


async def test_only_clients_with_the_clusters_certificate_are_served(embedded: Lab, tmp_path):
    certificates = Certificates(tmp_path / "pki")
    kubelet = await embedded.kubelet(serving_ssl=certificates.kubelet())
    url = f"https://127.0.0.1:{kubelet.port}/healthz"
    async with aiohttp.ClientSession() as session:
        async with session.get(url, ssl=certificates.client("kubelet-client")) as answer:
            assert await answer.text() == "ok"
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            async with session.get(url, ssl=certificates.anonymous()) as answer:
                await answer.text()
