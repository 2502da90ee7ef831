"""Questions about identity and permission, which are asked by creating what is not kept.

TokenReview and SelfSubjectReview tell who somebody is, the access reviews whether he may do
something, SelfSubjectRulesReview what he may do at all; TokenRequest, a subresource of
ServiceAccounts, makes a token.

Source: k8s.io/kubernetes pkg/registry/authentication, pkg/registry/authorization,
pkg/registry/core/serviceaccount/storage/token.go and the validations of these groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from labkit.apiserver import decode, fields, node_restriction, statuses
from labkit.apiserver.attributes import Attributes
from labkit.apiserver.authorizer import Authorizer
from labkit.apiserver.fields import FieldError
from labkit.apiserver.registration import row
from labkit.apiserver.request import Request, Result, User
from labkit.apiserver.state import State
from labkit.apiserver.strategy import Strategy
from labkit.apiserver.target import Call, Target, call
from labkit.apiserver.tokens import ISSUER, InvalidToken, Tokens
from labkit.kube import times
from labkit.kube.resources import PODS, SECRETS, SERVICE_ACCOUNTS, Resource

_TOKEN_REQUESTS = row(
    Resource("authentication.k8s.io", "v1", "tokenrequests", "TokenRequest"), Strategy()
)
_BINDABLE = {"Pod": PODS, "Secret": SECRETS}
_HOUR, _SHORTEST, _LONGEST = 3600, 600, 1 << 32  # seconds
_SPEC = "spec"
_EXACTLY_ONE = "exactly one of nonResourceAttributes or resourceAttributes must be specified"


class Reviews:
    """Answers the reviews of one server."""

    def __init__(self, state: State, authorizer: Authorizer, tokens: Tokens) -> None:
        self._state, self._authorizer, self._tokens = state, authorizer, tokens
        self._answers: dict[str, Callable[[dict, Call], dict]] = {
            "tokenreviews": self._token_review,
            "selfsubjectreviews": self._self_review,
            "subjectaccessreviews": self._access_review,
            "localsubjectaccessreviews": self._local_access_review,
            "selfsubjectaccessreviews": self._self_access_review,
            "selfsubjectrulesreviews": self._rules_review,
        }

    def concern(self, where: Target) -> bool:
        """Whether what is there is answered here."""
        return where.row.resource.plural in self._answers or where.subresource == "token"

    def answer(self, where: Target, request: Request) -> Result:
        """The review with its status: 201.  Raises ApiError 400, 404, 405, 409, 422."""
        if request.method != "POST" or (where.row.ephemeral and where.name):
            raise statuses.method_not_allowed()
        asked = call(where, request)
        if where.subresource == "token":
            asked = replace(asked, target=replace(where, row=_TOKEN_REQUESTS, subresource=""))
            obj = self._token_request(decode.body(asked), asked)
        else:
            if where.row.resource.namespaced and not where.namespace:
                raise statuses.method_not_allowed()
            obj = self._answers[where.row.resource.plural](decode.body(asked), asked)
        return Result(201, obj, tuple(asked.warnings))

    # -- who is it ---------------------------------------------------------------------------------

    def _token_review(self, obj: dict, asked: Call) -> dict:
        spec = obj.get(_SPEC) or {}
        if not spec.get("token"):
            raise statuses.bad_request("token is required for TokenReview in authentication")
        try:
            audiences = spec.get("audiences") or ()
            user, audiences = self._tokens.authenticate(spec["token"], audiences)
        except InvalidToken as error:
            return {**obj, "status": {"user": {}, "error": str(error)}}
        status = {"authenticated": True, "user": _user_info(user), "audiences": list(audiences)}
        return {**obj, "status": status}

    def _self_review(self, obj: dict, asked: Call) -> dict:
        return {**obj, "status": {"userInfo": _user_info(asked.user)}}

    # -- what may he do ----------------------------------------------------------------------------

    def _access_review(self, obj: dict, asked: Call) -> dict:
        spec = obj.get(_SPEC) or {}
        _refuse(asked, [*_wrong_attributes(spec), *_wrong_subject(spec)])
        return self._reviewed(obj, _subject(spec))

    def _local_access_review(self, obj: dict, asked: Call) -> dict:
        spec, namespace = obj.get(_SPEC) or {}, asked.target.namespace
        errors = [*_wrong_attributes(spec), *_wrong_subject(spec)]
        if "nonResourceAttributes" in spec:
            why = "disallowed on this kind of request"
            value = spec["nonResourceAttributes"]
            errors.append(fields.invalid("spec.nonResourceAttributes", value, why))
        given = (spec.get("resourceAttributes") or {}).get("namespace", "")
        if "resourceAttributes" in spec and given != namespace:
            path, why = "spec.resourceAttributes.namespace", "must match metadata.namespace"
            errors.append(fields.invalid(path, given, why))
        _refuse(asked, errors)
        return self._reviewed(obj, _subject(spec))

    def _self_access_review(self, obj: dict, asked: Call) -> dict:
        _refuse(asked, _wrong_attributes(obj.get(_SPEC) or {}))
        return self._reviewed(obj, asked.user)

    def _reviewed(self, obj: dict, user: User) -> dict:
        decision = self._authorizer.authorize(user, _attributes(obj[_SPEC]))
        status: dict = {"allowed": decision.allowed}
        if decision.reason:
            status["reason"] = decision.reason
        return {**obj, "status": status}

    def _rules_review(self, obj: dict, asked: Call) -> dict:
        namespace = (obj.get(_SPEC) or {}).get("namespace", "")
        if not namespace:
            raise statuses.bad_request("no namespace on request")
        rules, errors = self._authorizer.rules(asked.user, namespace)
        status = {
            "resourceRules": [_part(rule, _RESOURCE_RULE) for rule in rules if "resources" in rule],
            "nonResourceRules": [_part(rule, _URL_RULE) for rule in rules if _is_about_urls(rule)],
            "incomplete": bool(errors),
        }
        if errors:
            status["evaluationError"] = ", ".join(errors)
        return {**obj, _SPEC: {}, "status": status}

    # -- a token -----------------------------------------------------------------------------------

    def _token_request(self, obj: dict, asked: Call) -> dict:
        name, namespace = asked.target.name, asked.target.namespace
        metadata = _matching_metadata(obj, name, namespace, asked)
        account = self._object(SERVICE_ACCOUNTS, namespace, name)
        spec = {"expirationSeconds": _HOUR, **(obj.get(_SPEC) or {})}
        spec["audiences"] = spec.get("audiences") or [ISSUER]
        _refuse(asked, _wrong_lifetime(spec["expirationSeconds"]), name="")
        bound = self._bound(spec.get("boundObjectRef"), namespace, name)
        node_restriction.check_token(asked, spec.get("boundObjectRef") or {}, bound)
        token, expires = self._tokens.issue(
            account, spec["audiences"], spec["expirationSeconds"], bound
        )
        status = {"token": token, "expirationTimestamp": times.rfc3339(expires)}
        return {**obj, "metadata": metadata, _SPEC: spec, "status": status}

    def _bound(self, reference: Mapping | None, namespace: str, account: str) -> Mapping | None:
        """The object that a token shall be bound to.  Raises ApiError 400, 404, 409."""
        if not reference:
            return None
        kind, name = reference.get("kind", ""), reference.get("name", "")
        if kind not in _BINDABLE or reference.get("apiVersion") != "v1":
            group, _, version = (reference.get("apiVersion") or "").rpartition("/")
            what = f"{group}/{version}, Kind={kind}"
            raise statuses.bad_request(f"cannot bind token to object of type {what}")
        obj = self._object(_BINDABLE[kind], namespace, name)
        runs_as = (obj.get(_SPEC) or {}).get("serviceAccountName")
        if kind == "Pod" and runs_as != account:
            raise statuses.bad_request(
                f'cannot bind token for serviceaccount "{account}" to pod running with '
                f'serviceaccount "{runs_as}"'
            )
        own, wanted = obj["metadata"]["uid"], reference.get("uid")
        if wanted and wanted != own:
            why = (
                f"the UID in the bound object reference ({wanted}) does not match the UID in "
                f"record. The object might have been deleted and then recreated"
            )
            raise statuses.conflict(Resource("", "v1", kind, kind), name, why)
        return obj

    def _object(self, resource: Resource, namespace: str, name: str) -> Mapping:
        item = self._state.of(resource).items.get(f"{namespace}/{name}")
        if item is None:
            raise statuses.not_found(resource, name)
        return item.obj


_RESOURCE_RULE = ("verbs", "apiGroups", "resources", "resourceNames")
_URL_RULE = ("verbs", "nonResourceURLs")


def _is_about_urls(rule: Mapping) -> bool:
    return bool(rule.get("nonResourceURLs"))


def _part(rule: Mapping, wanted: Sequence[str]) -> dict:
    return {field: rule[field] for field in wanted if rule.get(field)}


def _user_info(user: User) -> dict:
    info: dict = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _subject(spec: Mapping) -> User:
    extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
    groups = tuple(spec.get("groups") or ())
    return User(spec.get("user", ""), groups, spec.get("uid", ""), extra)


def _attributes(spec: Mapping) -> Attributes:
    """What a review asks about."""
    about = spec.get("resourceAttributes")
    if about is None:
        path = spec["nonResourceAttributes"]
        return Attributes(path.get("verb", ""), path.get("path", ""))
    parts = ("group", "version", "namespace", "resource", "subresource", "name")
    given = {part: about[part] for part in parts if about.get(part)}
    # No resource at all is what only a rule for every resource allows.
    return Attributes(about.get("verb", ""), **{"resource": "*", **given})


def _wrong_attributes(spec: Mapping) -> list[FieldError]:
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and other is not None:
        why = "cannot be specified in combination with resourceAttributes"
        return [fields.invalid("spec.nonResourceAttributes", other, why)]
    if resource is None and other is None:
        return [fields.invalid("spec.resourceAttributes", None, _EXACTLY_ONE)]
    return []


def _wrong_subject(spec: Mapping) -> list[FieldError]:
    if spec.get("user") or spec.get("groups"):
        return []
    return [fields.invalid("spec.user", "", "at least one of user or group must be specified")]


def _wrong_lifetime(seconds: int) -> list[FieldError]:
    path = "spec.expirationSeconds"
    if seconds < _SHORTEST:
        return [fields.invalid(path, seconds, "may not specify a duration less than 10 minutes")]
    if seconds > _LONGEST:
        why = "may not specify a duration larger than 2^32 seconds"
        return [fields.invalid(path, seconds, why)]
    return []


def _matching_metadata(obj: Mapping, name: str, namespace: str, asked: Call) -> dict:
    """The metadata of a TokenRequest, which may only repeat what its path says."""
    metadata = dict(obj["metadata"])
    for field, value in (("name", name), ("namespace", namespace)):
        if metadata.get(field) not in (None, "", value):
            why = f"must match the service account {field} if specified"
            _refuse(asked, [fields.invalid(f"metadata.{field}", metadata[field], why)], name=name)
        metadata[field] = value
    return metadata


def _refuse(asked: Call, errors: list[FieldError], name: str = "") -> None:
    if errors:
        raise statuses.invalid(asked.target.row.resource, name, errors)
