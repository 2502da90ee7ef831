"""What a check may look at: the objects of a cluster, as they were at one moment, and the answer
that the learner has given to it: a number, a table, a recording.

Each kind is read when it is first asked for, and once; so all questions of one check are about the
same objects.  In tests a world is made of manifests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from labkit.kube import kinds, pods, selectors
from labkit.kube.resources import PODS, Resource

#: What the container engine runs, in the form of objects; no API of Kubernetes serves it.
CONTAINERS = Resource("", "docker", "containers", "Container", namespaced=False)
#: All objects of a resource, in a namespace or (None) where it has none.
Read = Callable[[Resource, str | None], list[dict]]


class World:
    """The objects of `namespace`, and those that have no namespace.  They are read-only.

    `answer` is what was given to the check, None if nothing was.
    """

    def __init__(self, read: Read, namespace: str = "default", answer: Any = None) -> None:
        self._read, self.namespace, self.answer = read, namespace, answer
        self._kept: dict[Resource, list[dict]] = {}

    @classmethod
    def of(cls, objects: Iterable[Mapping], answer: Any = None) -> World:
        """A world of these objects and no others."""
        made = [dict(one) for one in objects]

        def read(resource: Resource, _: str | None) -> list[dict]:
            return [one for one in made if one["kind"] == resource.kind]

        return cls(read, answer=answer)

    def get(self, name: str) -> dict:
        """The object `deployment/myapp`; {} where there is none."""
        resource, plain = kinds.parse(name)
        found = (one for one in self._all(resource) if one["metadata"]["name"] == plain)
        return next(found, {})

    def list(self, kind: str | Resource, selector: Mapping[str, str] | None = None) -> list[dict]:
        """All objects of a kind (`pods`), or those that have these labels."""
        everything = self._all(_resource(kind))
        if selector is None:
            return everything
        wanted = selectors.from_label_selector({"matchLabels": dict(selector)})
        return [one for one in everything if selectors.matches(wanted, _labels(one))]

    def pods_of(self, name: str) -> list[dict]:
        """The Pods that `deployment/myapp` selects and that are not about to end."""
        selector = selectors.from_label_selector((self.get(name).get("spec") or {}).get("selector"))
        return [
            pod
            for pod in self._all(PODS)
            if selectors.matches(selector, _labels(pod)) and pods.is_active(pod)
        ]

    def names(self, kind: str) -> str:
        """The names of all objects of a kind, for a sentence: `myapp, web`, or `none`."""
        return ", ".join(one["metadata"]["name"] for one in self.list(kind)) or "none"

    def _all(self, resource: Resource) -> list[dict]:
        if resource not in self._kept:
            namespace = self.namespace if resource.namespaced else None
            self._kept[resource] = self._read(resource, namespace)
        return self._kept[resource]


def _resource(kind: str | Resource) -> Resource:
    return kind if isinstance(kind, Resource) else kinds.parse(f"{kind}/x")[0]


def _labels(one: Mapping) -> Mapping[str, str]:
    return one["metadata"].get("labels") or {}
