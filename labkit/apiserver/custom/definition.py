"""CustomResourceDefinitions as objects: their defaults, what updates keep, what is wrong with them.

Source: k8s.io/apiextensions-apiserver pkg/registry/customresourcedefinition (strategy.go),
pkg/apis/apiextensions/v1/defaults.go and pkg/apis/apiextensions/validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from labkit.apiserver import fields, names
from labkit.apiserver.custom import definition_schema, definition_versions
from labkit.apiserver.fields import FieldError
from labkit.kube import conditions

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
APPROVED = "api-approved.kubernetes.io"
_SCOPES = ("Cluster", "Namespaced")
_REVIEWS = ("v1", "v1beta1")
_NO_WEBHOOKS = (
    "spec.conversion: this server calls no webhooks; versions are converted as by strategy None"
)


def default(obj: dict) -> None:
    """Fill in names, conversion and the storage version."""
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return
    found = spec.setdefault("names", {})
    if not found.get("singular"):
        found["singular"] = found.get("kind", "").lower()
    if not found.get("listKind") and found.get("kind"):
        found["listKind"] = found["kind"] + "List"
    spec.setdefault("conversion", {"strategy": "None"})
    service = ((spec["conversion"].get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None:
        service.setdefault("port", 443)


def prepare(obj: dict, old: Mapping | None) -> None:
    """A new definition has no status yet; its storage version joins the stored ones."""
    status = dict((old or {}).get("status") or {})
    stored = list(status.get("storedVersions") or ())
    for version in (obj.get("spec") or {}).get("versions") or ():
        if version.get("storage"):
            if version.get("name") not in stored:
                stored.append(version.get("name"))
            break
    if old is None:
        status = {"acceptedNames": {"plural": "", "kind": ""}}
    obj["status"] = {**status, "storedVersions": stored}


def warn(obj: Mapping, old: Mapping | None) -> list[str]:
    """What an author of a definition should know, and has not been told before."""
    before = _warnings(old) if old is not None else ()
    return [warning for warning in _warnings(obj) if warning not in before]


def _warnings(obj: Mapping) -> list[str]:
    found: dict[str, None] = {}
    if ((obj.get("spec") or {}).get("conversion") or {}).get("strategy") == "Webhook":
        found[_NO_WEBHOOKS] = None
    for version in (obj.get("spec") or {}).get("versions") or ():
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        found |= dict.fromkeys(definition_schema.warnings(schema or {}))
    return list(found)


def validate(obj: Mapping) -> list[FieldError]:
    """What is wrong with a definition."""
    spec, metadata = obj.get("spec") or {}, obj["metadata"]
    errors = []
    if metadata.get("name") != f"{(spec.get('names') or {}).get('plural')}.{spec.get('group')}":
        why = 'must be spec.names.plural+"."+spec.group'
        errors.append(fields.invalid("metadata.name", metadata.get("name", ""), why))
    errors += _group(spec)
    errors += _scope(spec)
    errors += definition_versions.validate(spec.get("versions") or [], "spec.versions")
    errors += _required_names(spec.get("names") or {})
    errors += _names(spec.get("names") or {}, "spec.names")
    errors += _conversion(spec.get("conversion") or {}, "spec.conversion")
    errors += validate_status(obj)
    errors += _stored_versions(obj)
    if spec.get("preserveUnknownFields"):
        why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
        why += "spec.versions[*].schema instead"
        errors.append(fields.invalid("spec.preserveUnknownFields", True, why))
    return [*errors, *_approval(obj)]


def validate_update(obj: Mapping, old: Mapping) -> list[FieldError]:
    """What an update may not change."""
    spec, before = obj.get("spec") or {}, old.get("spec") or {}
    errors = []
    if conditions.is_true(old, "Established"):
        errors += _unchanged(spec.get("scope"), before.get("scope"), "spec.scope")
        kinds = [(one.get("names") or {}).get("kind") for one in (spec, before)]
        errors += _unchanged(*kinds, "spec.names.kind")
    errors += _unchanged(spec.get("group"), before.get("group"), "spec.group")
    plurals = [(one.get("names") or {}).get("plural") for one in (spec, before)]
    errors += _unchanged(*plurals, "spec.names.plural")
    return errors


def validate_status(obj: Mapping) -> list[FieldError]:
    """What is wrong with a definition's status."""
    return list(
        _names((obj.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")
    )


def _unchanged(new: object, old: object, path: str) -> list[FieldError]:
    return [] if new == old else [fields.invalid(path, new, "field is immutable")]


def _group(spec: Mapping) -> Iterator[FieldError]:
    group = spec.get("group") or ""
    if not group:
        yield fields.required("spec.group")
    elif wrong := names.dns_subdomain(group):
        yield fields.invalid("spec.group", group, wrong)
    elif "." not in group:
        yield fields.invalid("spec.group", group, "should be a domain with at least one dot")


def _scope(spec: Mapping) -> Iterator[FieldError]:
    scope = spec.get("scope") or ""
    if not scope:
        yield fields.required("spec.scope")
    elif scope not in _SCOPES:
        yield fields.unsupported("spec.scope", scope, _SCOPES)


def _required_names(found: Mapping) -> Iterator[FieldError]:
    for name in ("plural", "singular", "kind", "listKind"):
        if not found.get(name):
            yield fields.required(f"spec.names.{name}")


def _names(found: Mapping, path: str) -> Iterator[FieldError]:
    for name in ("plural", "singular"):
        text = found.get(name) or ""
        if text and (wrong := names.dns_label_1035(text)):
            yield fields.invalid(f"{path}.{name}", text, wrong)
    for name in ("kind", "listKind"):
        text = found.get(name) or ""
        if text and (wrong := names.dns_label_1035(text.lower())):
            why = f"may have mixed case, but should otherwise match: {wrong}"
            yield fields.invalid(f"{path}.{name}", text, why)
    for index, text in enumerate(found.get("shortNames") or ()):
        if wrong := names.dns_label_1035(text):
            yield fields.invalid(f"{path}.shortNames[{index}]", text, wrong)
    if found.get("kind") and found.get("kind") == found.get("listKind"):
        why = "kind and listKind may not be the same"
        yield fields.invalid(f"{path}.listKind", found["listKind"], why)
    for index, text in enumerate(found.get("categories") or ()):
        if wrong := names.dns_label_1035(text):
            yield fields.invalid(f"{path}.categories[{index}]", text, wrong)


def _conversion(conversion: Mapping, path: str) -> Iterator[FieldError]:
    strategy, webhook = conversion.get("strategy") or "", conversion.get("webhook")
    if not strategy:
        yield fields.required(f"{path}.strategy")
    elif strategy not in ("None", "Webhook"):
        yield fields.unsupported(f"{path}.strategy", strategy, ("None", "Webhook"))
    if strategy == "Webhook":
        yield from _webhook(webhook or {}, path)
    elif webhook is not None:
        why = "should not be set when strategy is not set to Webhook"
        yield fields.forbidden(f"{path}.webhookClientConfig", why)


def _webhook(webhook: Mapping, path: str) -> Iterator[FieldError]:
    client, place = webhook.get("clientConfig"), f"{path}.webhookClientConfig"
    if client is None:
        yield fields.required(place, "required when strategy is set to Webhook")
    elif (client.get("url") is None) == (client.get("service") is None):
        yield fields.required(place, "exactly one of url or service is required")
    reviews = webhook.get("conversionReviewVersions") or []
    if not reviews:
        yield fields.required(f"{path}.conversionReviewVersions")
    elif not set(reviews) & set(_REVIEWS):
        why = "must include at least one of v1, v1beta1"
        yield fields.invalid(f"{path}.conversionReviewVersions", reviews, why)


def _stored_versions(obj: Mapping) -> Iterator[FieldError]:
    stored, path = (obj.get("status") or {}).get("storedVersions") or [], "status.storedVersions"
    versions = (obj.get("spec") or {}).get("versions") or ()
    if not stored:
        yield fields.invalid(path, stored, "must have at least one stored version")
        return
    known = {version.get("name") for version in versions}
    for index, name in enumerate(stored):
        if name not in known:
            why = f"missing from spec.versions; {name} was previously a storage version, and must "
            why += "remain in spec.versions until a storage migration ensures no data remains "
            why += f"persisted in {name} and removes {name} from status.storedVersions"
            yield fields.invalid(f"{path}[{index}]", name, why)


def _approval(obj: Mapping) -> Iterator[FieldError]:
    """Groups under k8s.io and kubernetes.io are the community's."""
    group = "." + ((obj.get("spec") or {}).get("group") or "")
    if not group.endswith((".k8s.io", ".kubernetes.io")):
        return
    said = (obj["metadata"].get("annotations") or {}).get(APPROVED, "")
    path = f"metadata.annotations[{APPROVED}]"
    more = "see https://github.com/kubernetes/enhancements/pull/1111"
    if not said:
        why = f'protected groups must have approval annotation "{APPROVED}", {more}'
        yield fields.required(path, why)
    elif not said.startswith("unapproved") and not _is_url(said):
        why = f'protected groups must have approval annotation "{APPROVED}" with either a URL or '
        why += f'a reason starting with "unapproved", {more}'
        yield fields.invalid(path, said, why)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)
