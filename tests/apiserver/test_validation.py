"""What a learner gets wrong, and that the server says so in upstream's words."""

import copy

import pytest

from labkit.apiserver.request import Request
from labkit.client import ApiError
from labkit.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    NAMESPACES,
    PODS,
    SERVICES,
)
from tests.apiserver import manifests
from tests.apiserver.conftest import ADMIN


def bent(obj: dict, path: str, value: object) -> dict:
    """A copy of `obj` with one field set; None removes it."""
    obj = copy.deepcopy(obj)
    target: object = obj
    *parents, last = path.split(".")
    for part in parents:
        target = target[int(part)] if isinstance(target, list) else target.setdefault(part, {})
    if value is None:
        del target[last]
    else:
        target[last] = value
    return obj


POD, DEPLOYMENT, SERVICE = manifests.pod(), manifests.deployment(), manifests.service()
HPA = manifests.hpa()
C = "spec.containers.0"
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    r"for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
    "'93%', regex used for validation is '[0-9]+%')"
)

INVALID = [
    (PODS, POD, "metadata.name", "Web", f'metadata.name: Invalid value: "Web": {SUBDOMAIN}'),
    (PODS, POD, "metadata.name", None, "metadata.name: Required value: name or generateName "),
    (PODS, POD, "spec.containers", [], "spec.containers: Required value"),
    (PODS, POD, f"{C}.name", None, "spec.containers[0].name: Required value"),
    (PODS, POD, f"{C}.image", None, "spec.containers[0].image: Required value"),
    (
        PODS,
        POD,
        "spec.containers",
        [{"name": "a", "image": "x"}, {"name": "a", "image": "x"}],
        'spec.containers[1].name: Duplicate value: "a"',
    ),
    (
        PODS,
        POD,
        f"{C}.imagePullPolicy",
        "Sometimes",
        'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: '
        '"Always", "IfNotPresent", "Never"',
    ),
    (
        PODS,
        POD,
        f"{C}.ports",
        [{"containerPort": 70000}],
        "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and "
        "65535, inclusive",
    ),
    (
        PODS,
        POD,
        "spec.restartPolicy",
        "Maybe",
        'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "Never", '
        '"OnFailure"',
    ),
    (
        PODS,
        POD,
        f"{C}.resources",
        {"requests": {"cpu": "500m"}, "limits": {"cpu": "200m"}},
        'spec.containers[0].resources.requests: Invalid value: "500m": must be less than or equal '
        "to cpu limit of 200m",
    ),
    (
        PODS,
        POD,
        f"{C}.resources",
        {"limits": {"memory": "-1"}},
        'spec.containers[0].resources.limits[memory]: Invalid value: "-1": must be greater than '
        "or equal to 0",
    ),
    (
        PODS,
        POD,
        f"{C}.readinessProbe",
        {"periodSeconds": 5},
        "spec.containers[0].readinessProbe: Required value: must specify a handler type",
    ),
    (
        PODS,
        POD,
        f"{C}.livenessProbe",
        {"tcpSocket": {"port": 80}, "successThreshold": 2},
        "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
    ),
    (
        PODS,
        POD,
        f"{C}.volumeMounts",
        [{"name": "x", "mountPath": "/x"}],
        'spec.containers[0].volumeMounts[0].name: Not found: "x"',
    ),
    (
        PODS,
        POD,
        f"{C}.env",
        [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when '
        "`value` is not empty",
    ),
    (
        PODS,
        POD,
        "metadata.labels",
        {"app": "not valid"},
        'metadata.labels: Invalid value: "not valid": a valid label must be an empty string or '
        "consist of alphanumeric characters",
    ),
    (
        DEPLOYMENTS,
        DEPLOYMENT,
        "spec.template.metadata.labels",
        {"app": "other"},
        'spec.template.metadata.labels: Invalid value: {"app":"other"}: `selector` does not match '
        "template `labels`",
    ),
    (DEPLOYMENTS, DEPLOYMENT, "spec.selector", None, "spec.selector: Required value"),
    (
        DEPLOYMENTS,
        DEPLOYMENT,
        "spec.replicas",
        -1,
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
    ),
    (
        DEPLOYMENTS,
        DEPLOYMENT,
        "spec.template.spec.restartPolicy",
        "Never",
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ),
    (
        DEPLOYMENTS,
        DEPLOYMENT,
        "spec.strategy",
        {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}},
        "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when "
        "`maxSurge` is 0",
    ),
    (
        DEPLOYMENTS,
        DEPLOYMENT,
        "spec.strategy",
        {"rollingUpdate": {"maxSurge": "a lot"}},
        f'spec.strategy.rollingUpdate.maxSurge: Invalid value: "a lot": {PERCENT}',
    ),
    (
        DEPLOYMENTS,
        DEPLOYMENT,
        "spec.strategy",
        {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}},
        "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is "
        "'Recreate'",
    ),
    (SERVICES, SERVICE, "spec.ports", [], "spec.ports: Required value"),
    (
        SERVICES,
        SERVICE,
        "spec.ports",
        [{"port": 80}, {"port": 81, "name": "b"}],
        "spec.ports[0].name: Required value",
    ),
    (
        SERVICES,
        SERVICE,
        "spec.ports",
        [{"port": 80, "nodePort": 30080}],
        "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
    ),
    (
        SERVICES,
        bent(SERVICE, "spec.type", "NodePort"),
        "spec.ports",
        [{"port": 80, "nodePort": 80}],
        "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The "
        "range of valid ports is 30000-32767",
    ),
    (
        SERVICES,
        SERVICE,
        "spec.clusterIP",
        "10.0.0.1",
        'spec.clusterIPs: Invalid value: ["10.0.0.1"]: failed to allocate IP 10.0.0.1: the '
        "provided IP (10.0.0.1) is not in the valid range. The range of valid IPs is 127.96.0.0/24",
    ),
    (
        HORIZONTAL_POD_AUTOSCALERS,
        HPA,
        "spec.minReplicas",
        20,
        "spec.maxReplicas: Invalid value: 10: must be greater than or equal to `minReplicas`",
    ),
    (
        HORIZONTAL_POD_AUTOSCALERS,
        HPA,
        "spec.scaleTargetRef.name",
        None,
        "spec.scaleTargetRef.name: Required value",
    ),
    (
        CONFIG_MAPS,
        manifests.config_map(),
        "data",
        {"a b": "x"},
        'data[a b]: Invalid value: "a b": a valid config key must consist of alphanumeric',
    ),
    (
        NAMESPACES,
        {"metadata": {}},
        "metadata.name",
        "a.b",
        'metadata.name: Invalid value: "a.b": a lowercase RFC 1123 label must consist of',
    ),
]


@pytest.mark.parametrize(
    ("resource", "obj", "path", "value", "message"),
    INVALID,
    ids=[f"{one[0].kind} {one[2]} {one[3]}" for one in INVALID],
)
async def test_an_invalid_object_is_refused_with_its_cause(
    client, resource, obj, path, value, message
):
    with pytest.raises(ApiError) as caught:
        await client.create(resource, bent(obj, path, value))
    error = caught.value
    assert (error.code, error.reason) == (422, "Invalid")
    name = bent(obj, path, value)["metadata"].get("name", "")
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    assert str(error).startswith(f'{kind} "{name}" is invalid: ')
    assert message in str(error)
    causes = error.status["details"]["causes"]
    assert any(message.startswith(f"{cause['field']}: ") for cause in causes)
    assert error.status["details"]["kind"] == resource.kind


async def test_several_errors_are_listed_together(client):
    obj = bent(bent(DEPLOYMENT, "spec.replicas", -1), "spec.selector", None)
    with pytest.raises(ApiError, match=r'^Deployment.apps "web" is invalid: \[spec.replicas: .*\]'):
        await client.create(DEPLOYMENTS, obj)


async def request(client, method, resource, body, **params):
    path = resource.path("default", body["metadata"]["name"] if method != "POST" else None)
    return await client.transport.request(method, path, params=params, body=body)


async def test_strict_validation_refuses_unknown_fields(client):
    obj = bent(DEPLOYMENT, "spec.replica", 3)
    with pytest.raises(ApiError) as caught:
        await request(client, "POST", DEPLOYMENTS, obj, fieldValidation="Strict")
    assert caught.value.code == 400
    assert str(caught.value) == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
        'unknown field "spec.replica"'
    )


async def test_without_strictness_unknown_fields_are_dropped_with_a_warning(api):
    obj = bent(DEPLOYMENT, "spec.replica", 3)
    path = DEPLOYMENTS.path("default")
    result = await api.handle(Request("POST", path, ADMIN, {}, copy.deepcopy(obj)))
    assert result.warnings == ('unknown field "spec.replica"',)
    assert "replica" not in result.body.obj["spec"]
    ignoring = bent(obj, "metadata.name", "other")
    params = {"fieldValidation": "Ignore"}
    assert (await api.handle(Request("POST", path, ADMIN, params, ignoring))).warnings == ()


async def test_a_wrong_type_is_a_bad_request(client):
    with pytest.raises(ApiError) as caught:
        await client.create(DEPLOYMENTS, bent(DEPLOYMENT, "spec.replicas", "three"))
    assert caught.value.reason == "BadRequest"
    assert str(caught.value) == (
        'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal '
        "string into Go struct field DeploymentSpec.spec.replicas of type int32"
    )


async def test_a_patch_that_makes_no_object_is_invalid(client):
    await client.create(DEPLOYMENTS, DEPLOYMENT)
    with pytest.raises(
        ApiError, match=r"patch: Invalid value: .*cannot unmarshal string"
    ) as caught:
        await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": "x"}}, "default")
    assert caught.value.code == 422


async def test_a_body_of_another_kind_or_version_is_refused(client):
    with pytest.raises(ApiError, match="does not match the expected API version"):
        await client.create(PODS, bent(POD, "apiVersion", "v2"))
    with pytest.raises(ApiError, match="unknown conversion"):
        await client.create(PODS, bent(POD, "kind", "Service"))


IMMUTABLE = [
    (
        PODS,
        POD,
        "spec.restartPolicy",
        "Never",
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`",
    ),
    (
        DEPLOYMENTS,
        DEPLOYMENT,
        "spec.selector.matchLabels",
        {"app": "other"},
        "spec.selector: Invalid value: ",
    ),
    (
        SERVICES,
        SERVICE,
        "spec.clusterIP",
        "127.96.0.77",
        'spec.clusterIPs[0]: Invalid value: ["127.96.0.77"]: may not change once set',
    ),
]


@pytest.mark.parametrize(("resource", "obj", "path", "value", "message"), IMMUTABLE)
async def test_what_is_immutable_cannot_be_changed(client, resource, obj, path, value, message):
    made = await client.create(resource, obj)
    changed = bent(made, path, value)
    if resource == SERVICES:
        del changed["spec"]["clusterIPs"]
    with pytest.raises(ApiError) as caught:
        await client.update(resource, changed)
    assert caught.value.code == 422
    assert message in str(caught.value)
    assert await client.get(resource, "web", "default") == made


async def test_a_pods_image_and_new_tolerations_may_change(client):
    await client.create(PODS, POD)
    operations = [
        {"op": "replace", "path": "/spec/containers/0/image", "value": "web:2"},
        {"op": "add", "path": "/spec/tolerations/-", "value": {"operator": "Exists"}},
    ]
    found = await client.patch(PODS, "web", operations, "default", kind="json")
    assert found["spec"]["containers"][0]["image"] == "web:2"
    assert found["metadata"]["generation"] == 2
