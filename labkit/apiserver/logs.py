"""`pods/log`: a Pod's log, read through the kubelet of its node.

The API server keeps no logs.  It finds the Pod, its container and its node, asks that node's
kubelet as a client with a certificate of its own, and passes on what it says, complaints too
(`container "x" in pod "y" is waiting to start: ...` is the kubelet's).

Source: k8s.io/kubernetes pkg/registry/core/pod (LogLocation), pkg/registry/core/pod/rest/log.go,
pkg/apis/core/validation (ValidatePodLogOptions).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from labkit.apiserver import fields, statuses
from labkit.apiserver.kubelets import Kubelets, chosen_container, dial_failure, is_true
from labkit.client.errors import ApiError, status_error
from labkit.kube import times

_FLAGS = ("follow", "previous", "timestamps")
_NUMBERS = {"tailLines": 0, "limitBytes": 1, "sinceSeconds": 1}  # with the smallest allowed
_TEXTS = ("sinceTime", "stream")
_MAX_ERROR = 16 * 1024  # bytes of a kubelet's explanation


def options(params: Mapping[str, str], pod: str) -> dict[str, str]:
    """PodLogOptions of a query, as a kubelet wants them.  Raises ApiError 400, 422."""
    found = {name: "true" for name in _FLAGS if is_true(params.get(name))}
    found |= {name: params[name] for name in (*_NUMBERS, *_TEXTS) if params.get(name)}
    _check_syntax(found)
    errors = [
        fields.invalid(name, int(found[name]), _AT_LEAST[least])
        for name, least in _NUMBERS.items()
        if name in found and int(found[name]) < least
    ]
    if "sinceTime" in found and "sinceSeconds" in found:
        detail = "at most one of `sinceTime` or `sinceSeconds` may be specified"
        errors.append(fields.forbidden("[]", detail))
    if errors:
        raise _invalid(pod, errors)
    return found


_AT_LEAST = {0: "must be greater than or equal to 0", 1: "must be greater than 0"}


def _check_syntax(found: Mapping[str, str]) -> None:
    for name in _NUMBERS:
        if name in found and not found[name].removeprefix("-").isdigit():
            message = f'strconv.ParseInt: parsing "{found[name]}": invalid syntax'
            raise statuses.bad_request(f"unable to decode query: {name}: {message}")
    try:
        times.parse(found.get("sinceTime", "2000-01-01T00:00:00Z"))
    except ValueError as error:
        raise statuses.bad_request(f"unable to decode query: sinceTime: {error}") from None


def _invalid(pod: str, errors: list[fields.FieldError]) -> ApiError:
    text = ", ".join(map(str, errors))
    message = f'PodLogOptions "{pod}" is invalid: {text if len(errors) == 1 else f"[{text}]"}'
    causes = [error.cause() for error in errors]
    details = {"name": pod, "kind": "PodLogOptions", "causes": causes}
    return status_error(422, "Invalid", message, details)


@asynccontextmanager
async def opened(
    kubelets: Kubelets, namespace: str, name: str, params: Mapping[str, str]
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The log's chunks.  Raises ApiError before the first one."""
    asked = options(params, name)
    pod = await kubelets.pod(namespace, name)
    container = chosen_container(pod, params.get("container", ""))
    if not pod["spec"].get("nodeName"):
        # Upstream too answers an empty log for a Pod that no kubelet knows.
        yield _nothing()
        return
    url = f"{await kubelets.of_pod(pod)}/containerLogs/{namespace}/{name}/{container}"
    try:
        async with kubelets.session.get(url, params=asked, ssl=kubelets.ssl) as answer:
            if answer.status != 200:
                raise _kubelet_error(answer.status, await answer.content.read(_MAX_ERROR), name)
            yield answer.content.iter_any()
    except aiohttp.ClientConnectorError as error:
        raise statuses.internal(f'Get "{url}": {dial_failure(url, error.os_error)}') from None
    except aiohttp.ClientError as error:
        # The head of the answer has been sent: all that is left is to break off.
        raise ConnectionAbortedError(str(error)) from None


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def _kubelet_error(code: int, body: bytes, name: str) -> ApiError:
    text = body.decode(errors="replace").strip()
    if code == 400:
        return statuses.bad_request(text)
    if code == 404:
        details = {"name": name, "kind": "pods/log"}
        return status_error(404, "NotFound", text or "log not found", details)
    message = f'an error on the server ("{text}") has prevented the request from succeeding'
    return status_error(500, "InternalError", f"{message} (get pods {name})")
