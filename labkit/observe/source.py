"""Asks the API server about one Deployment, with the official `kubernetes` client.

What it asks is what these commands ask, once per sample:

    kubectl get deployment NAME
    kubectl get hpa
    kubectl get pods -l SELECTOR
    kubectl top pods -l SELECTOR
    kubectl get events

The answers are taken as JSON: the client's model classes cost more time than everything else here.
An error answer (404, 503) makes one field of `Answers` None; if nobody answers at all the rest is
not asked either, so that a sample takes at most a few seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from labkit.client.official import client
from labkit.kube.selectors import format_selector, from_label_selector
from labkit.observe.sample import Answers, find_autoscaler

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

#: Seconds to connect, and to read.
_TIMEOUT = (1.0, 3.0)


class Source:
    """Reads `Answers` about the Deployment `name` in `namespace`."""

    def __init__(self, api_client: ApiClient, namespace: str, name: str) -> None:
        self._namespace, self._name = namespace, name
        self._core = client.CoreV1Api(api_client)
        self._apps = client.AppsV1Api(api_client)
        self._autoscaling = client.AutoscalingV2Api(api_client)
        self._custom = client.CustomObjectsApi(api_client)

    def read(self) -> Answers:
        """Ask everything; what gets no answer is None."""
        try:
            return self._read()
        except (OSError, ValueError):  # ValueError: half an answer is no JSON
            return Answers()

    def _read(self) -> Answers:
        deployment = ask(self._apps.read_namespaced_deployment, self._name, self._namespace)
        autoscaler = self._autoscaler()
        selector = _selector(deployment)
        return Answers(
            deployment,
            autoscaler,
            selector
            and items(self._core.list_namespaced_pod, self._namespace, label_selector=selector),
            selector and self._pod_metrics(selector),
            self._events(autoscaler),
        )

    def _autoscaler(self) -> dict[str, Any] | None:
        listing = self._autoscaling.list_namespaced_horizontal_pod_autoscaler
        return find_autoscaler(items(listing, self._namespace) or (), self._name)

    def _pod_metrics(self, selector: str) -> list[dict[str, Any]] | None:
        listing = self._custom.list_namespaced_custom_object
        group = ("metrics.k8s.io", "v1beta1", self._namespace, "pods")
        return items(listing, *group, label_selector=selector)

    def _events(self, autoscaler: dict[str, Any] | None) -> tuple[dict[str, Any], ...]:
        about = {("Deployment", self._name)}
        if autoscaler is not None:
            about.add(("HorizontalPodAutoscaler", autoscaler["metadata"]["name"]))
        found: list[dict[str, Any]] = []
        for kind, name in sorted(about):
            fields = f"involvedObject.kind={kind},involvedObject.name={name}"
            listing = self._core.list_namespaced_event
            found += items(listing, self._namespace, field_selector=fields) or ()
        return tuple(found)


def ask(call: Callable[..., Any], *args: str, **options: str) -> dict[str, Any] | None:
    """The answer to a call of the official client as JSON; None for an error answer.  OSError."""
    try:
        response = call(*args, **options, _preload_content=False, _request_timeout=_TIMEOUT)
        return json.loads(response.data)
    except client.ApiException as error:
        if not error.status:  # no answer but a broken connection
            raise OSError(str(error)) from error
        return None
    except HTTPError as error:  # too slow, or half an answer; urllib3's are no OSErrors
        raise OSError(str(error)) from error


def items(call: Callable[..., Any], *args: str, **options: str) -> list[dict[str, Any]] | None:
    """The objects of a listing; None for an error answer.  OSError."""
    answer = ask(call, *args, **options)
    return None if answer is None else answer.get("items") or []


def _selector(deployment: dict[str, Any] | None) -> str | None:
    if deployment is None:
        return None
    return format_selector(from_label_selector(deployment["spec"]["selector"]))
