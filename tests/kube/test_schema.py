"""Types from Kubernetes' own schemas: what they accept, drop and refuse."""

import copy

import pytest

from labkit.kube import schema

POD = "io.k8s.api.core.v1.Pod"
SECRET = "io.k8s.api.core.v1.Secret"
GOOD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "name": "a",
                "ports": [{"containerPort": 80}],
                "resources": {"requests": {"cpu": "100m", "memory": 1024}},
                "readinessProbe": {"httpGet": {"port": "http"}},
            }
        ]
    },
}


def changed(path: str, value: object) -> dict:
    obj = copy.deepcopy(GOOD)
    target = obj
    *parents, last = path.split(".")
    for part in parents:
        target = target[int(part)] if part.isdecimal() else target[part]
    target[last] = value
    return obj


def test_a_good_object_needs_no_second_look():
    assert schema.accepts(POD, GOOD)
    assert schema.decode(POD, GOOD) == (GOOD, [])


def test_nulls_are_dropped():
    obj = changed("metadata.creationTimestamp", None)
    assert not schema.accepts(POD, obj)
    assert schema.decode(POD, obj) == (GOOD, [])


def test_empty_lists_and_maps_are_dropped_where_go_drops_them():
    obj = {"metadata": {"labels": {}, "finalizers": []}, "spec": {"containers": [], "volumes": []}}
    assert not schema.accepts(POD, obj)
    assert schema.decode(POD, obj) == ({"metadata": {}, "spec": {"containers": []}}, [])
    assert schema.accepts("io.k8s.api.rbac.v1.Role", {"rules": []})
    assert schema.accepts(POD, {"spec": {"containers": [], "securityContext": {}}})


def test_unknown_fields_are_dropped_and_named_with_their_indexes():
    obj = changed("spec.containers.0.imagee", "x")
    assert schema.decode(POD, obj) == (GOOD, ["spec.containers[0].imagee"])


WRONG = [
    (
        "spec.containers.0.ports",
        "x",
        "json: cannot unmarshal string into Go struct field Container.spec.containers.ports "
        "of type []v1.ContainerPort",
    ),
    (
        "spec.containers.0.image",
        5,
        "json: cannot unmarshal number into Go struct field Container.spec.containers.image "
        "of type string",
    ),
    (
        "spec.terminationGracePeriodSeconds",
        1.5,
        "json: cannot unmarshal number 1.5 into Go struct field "
        "PodSpec.spec.terminationGracePeriodSeconds of type int64",
    ),
    (
        "spec.containers.0.ports",
        [{"containerPort": 2**31}],
        "json: cannot unmarshal number 2147483648 into Go struct field "
        "ContainerPort.spec.containers.ports.containerPort of type int32",
    ),
    (
        "spec",
        [],
        "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec",
    ),
    (
        "spec.hostNetwork",
        "true",
        "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool",
    ),
    (
        "spec.containers.0.resources",
        {"limits": {"cpu": "1 core"}},
        "quantities must match the regular expression "
        "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ),
    (
        "metadata.creationTimestamp",
        "yesterday",
        'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" '
        'as "2006"',
    ),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG)
def test_wrong_types_are_worded_as_go_words_them(path, value, message):
    obj = changed(path, value)
    assert not schema.accepts(POD, obj)
    with pytest.raises(schema.DecodeError) as caught:
        schema.decode(POD, obj)
    assert str(caught.value) == message


def test_bytes_must_be_base64():
    obj = {"data": {"a": "aGk="}}
    assert schema.accepts(SECRET, obj)
    obj["data"]["a"] = "a?"
    with pytest.raises(schema.DecodeError, match="illegal base64 data at input byte 1"):
        schema.decode(SECRET, obj)


def test_lists_know_how_they_merge():
    spec = schema.type_of(POD).fields["spec"]
    assert spec.fields["containers"].merge_key == "name"
    assert spec.fields["volumes"].strategies == {"merge", "retainKeys"}
    assert spec.fields["nodeSelector"].strategies == frozenset()
