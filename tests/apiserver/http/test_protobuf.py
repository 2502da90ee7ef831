"""Bodies as Go's clients write them; what is written here by hand is what they put on the wire."""

import pytest

from labkit.apiserver import protobuf
from labkit.apiserver.protobuf_fields import FIELDS
from labkit.apiserver.registry import REGISTRATIONS
from labkit.client import ApiError


def varint(value):
    if value < 0:
        value += 1 << 64
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, content):
    """One field: a number, a text, or a message (bytes)."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def body(api_version, kind, message):
    types = field(1, api_version) + field(2, kind)
    return b"k8s\0" + field(1, types) + field(2, message) + field(3, "") + field(4, "")


METADATA = field(1, field(1, "x") + field(3, "") + field(7, 0) + field(8, b""))


def test_texts_maps_and_bytes():
    entry = field(2, field(1, "a") + field(2, b"\x00\xff"))
    assert protobuf.decode(body("v1", "Secret", METADATA + entry + field(3, "Opaque"))) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "x"},
        "data": {"a": "AP8="},
        "type": "Opaque",
    }


def test_a_deployments_zero_replicas_are_kept_and_zero_ports_are_not():
    port = field(1, "") + field(2, 0) + field(3, 8080) + field(4, "TCP")
    container = field(1, "app") + field(6, port) + field(8, b"")
    template = field(1, b"") + field(2, field(2, container))
    selector = field(1, field(1, "app") + field(2, "web"))
    spec = field(1, 0) + field(2, selector) + field(3, template) + field(5, 0) + field(7, 0)
    made = protobuf.decode(body("apps/v1", "Deployment", METADATA + field(2, spec)))
    assert made["spec"] == {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {},
            "spec": {
                "containers": [
                    {
                        "name": "app",
                        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                        "resources": {},
                    }
                ]
            },
        },
    }


@pytest.mark.parametrize(
    ("target", "value"),
    [(field(1, 0) + field(2, 8080) + field(3, ""), 8080), (field(1, 1) + field(3, "http"), "http")],
)
def test_numbers_or_texts(target, value):
    port = field(2, "TCP") + field(3, 80) + field(4, target)
    made = protobuf.decode(body("v1", "Service", field(2, field(1, port))))
    assert made["spec"]["ports"][0]["targetPort"] == value


def test_messages_that_json_inlines():
    probe = field(1, field(2, field(1, "/ready") + field(2, field(1, 0) + field(2, 80))))
    volume = field(1, "v") + field(2, field(2, field(1, "Memory")))
    spec = field(1, volume) + field(2, field(1, "app") + field(11, probe + field(2, 5)))
    made = protobuf.decode(body("v1", "Pod", field(2, spec)))["spec"]
    assert made["volumes"] == [{"name": "v", "emptyDir": {"medium": "Memory"}}]
    assert made["containers"][0]["readinessProbe"] == {
        "httpGet": {"path": "/ready", "port": 80},
        "initialDelaySeconds": 5,
    }


def test_times_quantities_and_negative_numbers():
    seconds = 1769851800  # 2026-01-31T09:30:00Z
    event = field(6, field(1, seconds)) + field(10, field(1, seconds) + field(2, 1000))
    made = protobuf.decode(body("v1", "Event", event))
    assert made["firstTimestamp"] == "2026-01-31T09:30:00Z"
    assert made["eventTime"] == "2026-01-31T09:30:00.000001Z"
    limits = field(1, field(1, "cpu") + field(2, field(1, "250m")))
    spec = field(2, field(8, limits)) + field(25, -5)
    made = protobuf.decode(body("v1", "Pod", field(2, spec)))["spec"]
    assert made["containers"][0]["resources"] == {"limits": {"cpu": "250m"}}
    assert made["priority"] == -5


def test_a_budget_of_zero_is_kept():
    spec = field(3, field(1, 0) + field(2, 0) + field(3, ""))
    made = protobuf.decode(body("policy/v1", "PodDisruptionBudget", METADATA + field(2, spec)))
    assert made["spec"] == {"maxUnavailable": 0}


def test_lists_in_maps_are_messages_of_items():
    extra = field(5, field(1, "scopes") + field(2, field(1, "a") + field(1, "b")))
    review = body("authorization.k8s.io/v1", "SubjectAccessReview", field(2, extra))
    assert protobuf.decode(review)["spec"] == {"extra": {"scopes": ["a", "b"]}}


def test_every_kind_that_clients_send_is_read():
    # APIServices and definitions of custom resources have no typed client in kubectl.
    rows = [row for row in REGISTRATIONS if row.definition.startswith("io.k8s.api.")]
    assert [row.definition for row in rows if row.definition not in FIELDS] == []


def test_what_is_not_known_is_refused_rather_than_lost():
    with pytest.raises(ApiError, match="protobuf is not read here for field 99 of PodSpec") as info:
        protobuf.decode(body("v1", "Pod", field(2, field(99, b""))))
    assert info.value.code == 415
    with pytest.raises(ApiError, match="not read here for Nonsense"):
        protobuf.decode(body("v1", "Nonsense", b""))


@pytest.mark.parametrize(
    "damaged",
    [b"", b"{}", b"k8s\0\x0a\xff", b"k8s\0" + b"\xff" * 12, b"k8s\0\x0d", b"k8s\0\x08\x01"],
)
def test_damaged_bodies_are_bad_requests(damaged):
    with pytest.raises(ApiError) as info:
        protobuf.decode(damaged)
    assert info.value.code in (400, 415)
