"""Chapters delete what they made, and nothing else."""

from __future__ import annotations

import pytest

import labkit
from labkit.errors import UsageError
from tests.lab.conftest import POD

CUSTOM = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
TAB = "apiVersion: example.com/v1\nkind: CronTab\nmetadata: {name: nightly}\n"


def test_a_chapter_begins_without_what_chapters_left(mine):
    first = labkit.Lab("04-deploy")
    first.apply(POD.format(name="left"))
    labkit.Lab("08-autoscale")
    assert mine.names("pods") == set()


def test_a_notebook_of_your_own_stands_beside_the_chapters(mine):
    own = labkit.Lab()
    own.apply(POD.format(name="own"))
    labkit.Lab("04-deploy").apply(POD.format(name="chapters"))
    labkit.Lab()
    assert mine.names("pods") == {"pod/own", "pod/chapters"}
    own.reset()
    assert mine.names("pods") == {"pod/chapters"}
    labkit.Lab("04-deploy")


def test_what_kubectl_says_it_created_is_remembered_wherever_it_is(mine, capsys):
    lab = labkit.Lab("04-deploy")
    lab.kubectl("create namespace elsewhere")
    lab.kubectl("create configmap one --from-literal=a=b -n elsewhere")
    lab.kubectl("create clusterrole reader --verb=get --resource=pods")
    lab.apply(CUSTOM)
    lab.wait("crd/crontabs.example.com", "Established")
    lab.apply(TAB)
    assert mine.names("crontabs") == {"crontab.example.com/nightly"}
    lab.reset()
    assert "crontab/nightly" in capsys.readouterr().out
    assert not mine.names("crd,clusterroles") & {
        "customresourcedefinition.apiextensions.k8s.io/crontabs.example.com",
        "clusterrole.rbac.authorization.k8s.io/reader",
    }
    assert "namespace/elsewhere" not in mine.names("namespaces")


def test_what_other_commands_make_is_named(mine):
    for _ in range(2):
        lab = labkit.Lab("04-deploy")
        lab.reset("pod/plain")
        assert mine.names("pods") == set()
        mine("create -f -", POD.format(name="plain"))
    lab.reset()
    assert mine.names("pods") == set()


def test_objects_are_as_their_manifest_says_and_the_record_goes_with_them(mine):
    lab = labkit.Lab("04-deploy")
    lab.apply(POD.format(name="exact"))
    meta = lab.get("pod/exact")["metadata"]
    assert "labels" not in meta
    assert set(meta["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    assert "configmap/labkit" in mine.names("configmaps")
    lab.reset()
    assert "configmap/labkit" not in mine.names("configmaps")
    lab.reset()


def test_somebody_elses_objects_are_left_alone(foreign, theirs):
    theirs("create -f -", POD.format(name="theirs"))
    lab = labkit.Lab("04-deploy")
    uid = lab.get("pod/theirs")["metadata"]["uid"]
    with pytest.raises(UsageError, match="no chapter made"):
        lab.apply(POD.format(name="theirs").replace("3600", "7200"))
    with pytest.raises(UsageError, match="not the lab's own"):
        lab.reset("pod/theirs")
    lab.apply(POD.format(name="ours"))
    assert theirs.names("pods") == {"pod/theirs", "pod/ours"}
    labkit.Lab("08-autoscale").reset()
    assert theirs.names("pods") == {"pod/theirs"}
    assert lab.get("pod/theirs")["metadata"]["uid"] == uid
    theirs("delete pod theirs")


def test_a_name_that_nobody_had_is_the_chapters(foreign, theirs):
    for _ in range(2):
        lab = labkit.Lab("04-deploy")
        lab.reset("pod/plain")
        theirs("create -f -", POD.format(name="plain"))
    lab.reset()
    assert theirs.names("pods") == set()


def test_an_object_that_took_the_place_of_ours_is_not_ours(foreign, theirs):
    lab = labkit.Lab("04-deploy")
    lab.apply(POD.format(name="ours"))
    theirs("delete pod ours")
    theirs("create -f -", POD.format(name="ours"))
    lab.reset()
    assert theirs.names("pods") == {"pod/ours"}
    theirs("delete pod ours")
