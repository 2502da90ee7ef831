"""What is decided about commands and manifests, without a cluster."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from labkit.errors import LabkitError, UsageError
from labkit.lab import kubectl, magics, manifests
from labkit.lab.objects import spoken

NAMES = {"name": "web-1", "pod": SimpleNamespace(metadata=SimpleNamespace(name="web-2")), "x": 3}


@pytest.mark.parametrize(
    ("line", "expanded"),
    [
        ("get pod {name}", "get pod web-1"),
        ("get pod $name", "get pod web-1"),
        ("logs {pod.metadata.name}", "logs web-2"),
        ("scale deployment/myapp --replicas={x}", "scale deployment/myapp --replicas=3"),
        ("get {name} -o jsonpath='{.status}'", "get web-1 -o jsonpath='{.status}'"),
        ("get pods -o go-template='{{.kind}}'", "get pods -o go-template='{{.kind}}'"),
        ("""patch a -p '{"spec": {"replicas": 3}}'""",) * 2,
        ("run a --image=b -- sh -c 'echo $HOSTNAME {other}'",) * 2,
    ],
)  # fmt: skip
def test_variables_of_python_are_put_in_and_nothing_else(line: str, expanded: str):
    assert magics.expand(line, NAMES) == expanded


def test_a_cell_of_commands_has_one_in_each_line():
    cell = "get pods\n\n# a remark\nkubectl run a \\\n  --image=b\n"
    assert magics.commands(cell) == ["get pods", "kubectl run a    --image=b"]
    assert kubectl.words(magics.commands(cell)[1]) == ["run", "a", "--image=b"]


@pytest.mark.parametrize("line", ["get pods | tail", "get pods > file", "get a && get b"])
def test_what_belongs_to_a_shell_is_refused(line: str):
    with pytest.raises(UsageError, match="belongs to the shell"):
        kubectl.words(line)
    assert kubectl.words("run a --image=b -- sh -c 'ls | wc; date > x'")[-1] == "ls | wc; date > x"


def test_an_open_quotation_mark_is_named():
    with pytest.raises(UsageError, match="quotation mark"):
        kubectl.words("run a -- sh -c 'ls")


def test_what_kubectl_created_is_read_from_what_it_says():
    said = [
        "Warning: something",
        "deployment.apps/myapp created",
        "service/myapp unchanged",
        "service/web exposed",
        "horizontalpodautoscaler.autoscaling/myapp autoscaled",
        "deployment.apps/old configured",
        "pod/x created (dry run)",
        'pod "y" deleted',
    ]
    assert kubectl.made(said) == [
        "deployment.apps/myapp",
        "service/web",
        "horizontalpodautoscaler.autoscaling/myapp",
    ]


@pytest.mark.parametrize(
    ("command", "namespace"),
    [
        ("get pods", ""),
        ("get pods -n one", "one"),
        ("--namespace two run a --image=b", "two"),
        ("get pods --namespace=three", "three"),
        ("run a --image=b -- tool -n four", ""),
    ],
)
def test_the_namespace_of_a_command(command: str, namespace: str):
    assert kubectl.namespace_of(command.split()) == namespace


def test_what_a_manifest_would_make():
    manifest = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
---
# nothing
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, metadata: {name: web, namespace: other}}
- {apiVersion: v1, kind: Pod, metadata: {generateName: web-}}
"""
    assert manifests.names(manifest) == [("deployment.apps/web", ""), ("service/web", "other")]


def test_a_manifest_that_is_no_yaml_says_where():
    with pytest.raises(UsageError, match="in line 4"):
        manifests.documents("kind: Pod\nmetadata:\n name: a\n  b: c\n")


def test_a_manifest_is_text_or_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "myapp.yaml").write_text("kind: Pod\n")
    assert manifests.text("myapp.yaml") == "kind: Pod\n"
    assert manifests.text("kind: Pod\n") == "kind: Pod\n"
    with pytest.raises(UsageError, match="%%manifest other"):
        manifests.text("other.yaml")


def test_objects_are_spoken_of_shortly():
    assert spoken([]) == ""
    assert spoken(["pod/a"]) == "pod/a"
    assert (
        spoken(["deployment.apps/a", "service/b", "pod/c"]) == "deployment/a, service/b and pod/c"
    )


def test_an_error_is_three_sentences_and_no_traceback():
    shown = LabkitError("What happened.", "Why.", "What to type.")._render_traceback_()
    assert [line.rpartition("\033[0m ")[2] for line in shown] == [
        "What happened.",
        "Why.",
        "What to type.",
    ]
