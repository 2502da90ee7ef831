"""Rows of what runs to an end, spreads over nodes, or names a class: cells as upstream prints."""

import pytest

from labkit.apiserver.tables import table

NOW = 1_769_851_800.0  # 2026-01-31T09:30:00Z
CREATED, STARTED = "2026-01-31T09:25:00Z", "2026-01-31T09:28:30Z"
TEMPLATE = {"spec": {"containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j"}]}}


def obj(version: str, kind: str, **fields: object) -> dict:
    metadata = {"name": "x", "creationTimestamp": CREATED, **fields.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


def cells(one: dict) -> dict:
    made = table(one, NOW)
    names = [column["name"] for column in made["columnDefinitions"]]
    return dict(zip(names, made["rows"][0]["cells"], strict=True))


def job(spec: dict | None = None, *conditions: str, **status: object) -> dict:
    status["conditions"] = [{"type": kind, "status": "True"} for kind in conditions]
    spec = {"completions": 3, "template": TEMPLATE, **(spec or {})}
    return obj("batch/v1", "Job", spec=spec, status=status)


@pytest.mark.parametrize(
    ("conditions", "word"),
    [
        ((), "Running"),
        (("SuccessCriteriaMet",), "SuccessCriteriaMet"),
        (("FailureTarget", "Suspended"), "Suspended"),
        (("SuccessCriteriaMet", "Complete"), "Complete"),
        (("FailureTarget", "Failed"), "Failed"),
    ],
)
def test_a_job_is_what_its_most_final_condition_says(conditions, word):
    assert cells(job(None, *conditions))["Status"] == word


def test_a_job_that_is_being_deleted_terminates():
    one = job(None, "Suspended")
    one["metadata"]["deletionTimestamp"] = CREATED
    assert cells(one)["Status"] == "Terminating"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({}, "2/3"),
        ({"completions": None, "parallelism": 4}, "2/1 of 4"),
        ({"completions": None, "parallelism": 1}, "2/1"),
    ],
)
def test_completions_are_counted_as_far_as_they_are_known(spec, text):
    assert cells(job(spec, succeeded=2))["Completions"] == text


def test_a_jobs_duration_is_that_of_its_run():
    assert cells(job())["Duration"] == ""
    assert cells(job(startTime=STARTED))["Duration"] == "90s"
    ended = job(startTime=STARTED, completionTime="2026-01-31T09:28:42Z")
    assert cells(ended)["Duration"] == "12s"


def test_a_cron_job():
    spec = {"schedule": "@daily", "suspend": True, "timeZone": "Europe/Berlin",
            "jobTemplate": {"spec": {"template": TEMPLATE}}}  # fmt: skip
    status = {"active": [{"name": "x-1"}], "lastScheduleTime": STARTED}
    assert cells(obj("batch/v1", "CronJob", spec=spec, status=status)) == {
        "Name": "x", "Schedule": "@daily", "Timezone": "Europe/Berlin", "Suspend": "True",
        "Active": 1, "Last Schedule": "90s", "Age": "5m", "Containers": "a,b", "Images": "i:1,j",
        "Selector": "<none>",
    }  # fmt: skip


HOSTS = [{"host": name} for name in ("a", "b", "c", "d")]


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ([], "*"),
        ([{}], "*"),
        (HOSTS[:3], "a,b,c"),
        (HOSTS, "a,b,c + 1 more..."),
        ([*HOSTS[:3], {}], "a,b,c + 1 more..."),
        ([{}, *HOSTS[:3]], "a,b,c"),
        ([*HOSTS[:2], {}, {}], "a,b"),
    ],
)
def test_hosts_of_an_ingress_are_counted_after_the_third(rules, text):
    one = obj("networking.k8s.io/v1", "Ingress", spec={"rules": rules})
    assert cells(one)["Hosts"] == text


def test_an_ingress_with_addresses():
    points = [{"ip": "192.0.2.2"}, {"hostname": "a.example.com"}, {"ip": "192.0.2.1"}]
    status = {"loadBalancer": {"ingress": points}}
    one = obj("networking.k8s.io/v1", "Ingress", spec={"tls": [{}]}, status=status)
    assert cells(one)["Address"] == "192.0.2.1,192.0.2.2,a.example.com"
    assert (cells(one)["Class"], cells(one)["Ports"]) == ("<none>", "80, 443")


def test_a_quota_shows_limits_apart():
    hard = {"pods": "3", "limits.cpu": "2", "requests.cpu": "1"}
    status = {"hard": hard, "used": {"pods": "1", "limits.cpu": "500m"}}
    found = cells(obj("v1", "ResourceQuota", spec={"hard": hard}, status=status))
    assert found["Request"] == "pods: 1/3, requests.cpu: 0/1"
    assert found["Limit"] == "limits.cpu: 500m/2"


def test_a_bound_claim_shows_what_it_got():
    spec = {"volumeName": "pv", "storageClassName": "fast", "volumeMode": "Block",
            "accessModes": ["ReadWriteOncePod"]}  # fmt: skip
    status = {"phase": "Bound", "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteMany"]}
    found = cells(obj("v1", "PersistentVolumeClaim", spec=spec, status=status))
    assert (found["Volume"], found["Capacity"], found["Access Modes"]) == ("pv", "2Gi", "RWX")


def test_a_default_storage_class_says_so():
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    one = obj("storage.k8s.io/v1", "StorageClass", metadata={"annotations": annotations})
    assert cells(one)["Name"] == "x (default)"


def test_a_revision_names_its_controller():
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "controller": True}
    one = obj("apps/v1", "ControllerRevision", metadata={"ownerReferences": [owner]}, revision=2)
    assert cells(one)["Controller"] == "daemonset.apps/d"
