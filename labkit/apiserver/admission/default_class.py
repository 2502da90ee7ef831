"""DefaultStorageClass and DefaultIngressClass: the class of what names none.

Source: k8s.io/kubernetes plugin/pkg/admission/storage/storageclass/setdefault and
plugin/pkg/admission/network/defaultingressclass.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.apiserver.admission.attributes import Attributes
from labkit.kube.resources import (
    INGRESS_CLASSES,
    INGRESSES,
    PERSISTENT_VOLUME_CLAIMS,
    STORAGE_CLASSES,
    Resource,
)

_STORAGE_MARKS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_STORAGE_NAMED = "volume.beta.kubernetes.io/storage-class"
_INGRESS_MARKS = ("ingressclass.kubernetes.io/is-default-class",)
_INGRESS_NAMED = "kubernetes.io/ingress.class"


def admit(a: Attributes) -> None:
    """Name the default class in a new claim or Ingress.  Raises ApiError 403."""
    if a.row.resource == PERSISTENT_VOLUME_CLAIMS:
        marked = _marked(a, STORAGE_CLASSES, _STORAGE_MARKS)
        _name(a, "storageClassName", _STORAGE_NAMED, marked)
    elif a.row.resource == INGRESSES:
        marked = _marked(a, INGRESS_CLASSES, _INGRESS_MARKS)
        _name(a, "ingressClassName", _INGRESS_NAMED, marked)


def _name(a: Attributes, field: str, annotation: str, marked: list[Mapping]) -> None:
    spec = a.obj.setdefault("spec", {})
    if field not in spec and annotation not in _annotations(a.obj) and marked:
        spec[field] = _newest(marked)["metadata"]["name"]


def _annotations(obj: Mapping) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}


def _marked(a: Attributes, resource: Resource, marks: tuple[str, ...]) -> list[Mapping]:
    items = a.state.of(resource).items.values()
    return [
        item.obj
        for item in items
        if any(_annotations(item.obj).get(mark) == "true" for mark in marks)
    ]


def _newest(classes: list[Mapping]) -> Mapping:
    """Of several defaults the newest, of equally new ones the first by name."""
    by_name = sorted(classes, key=lambda obj: obj["metadata"]["name"])
    return max(by_name, key=lambda obj: obj["metadata"]["creationTimestamp"])
