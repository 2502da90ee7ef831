"""Who asks: certificates, ServiceAccount tokens, nobody."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.conftest import Wire, refused, until

_REVIEWS = "/apis/authentication.k8s.io/v1"
_SECRET_TYPE = "kubernetes.io/service-account-token"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def claims(token: str) -> dict:
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def review(wire: Wire, token: str, *audiences: str) -> dict:
    spec = {"token": token, **({"audiences": list(audiences)} if audiences else {})}
    return wire.ok("POST", f"{_REVIEWS}/tokenreviews", {"spec": spec})["status"]


@pytest.fixture
def account(wire: Wire, ns: str) -> str:
    """The path of a ServiceAccount of its own."""
    wire.ok("POST", f"{ns}/serviceaccounts", {"metadata": {"name": "robot"}})
    return f"{ns}/serviceaccounts/robot"


@pytest.fixture
def token_of(wire: Wire) -> Callable[..., str]:
    """A token of a ServiceAccount: token_of(path, **spec)."""

    def ask(account: str, **spec: object) -> str:
        return wire.ok("POST", f"{account}/token", {"spec": spec})["status"]["token"]

    return ask


def username(account: str) -> str:
    parts = account.split("/")
    return f"system:serviceaccount:{parts[4]}:{parts[6]}"


# -- nobody, and who is not who he says ------------------------------------------------------------


def test_nobody_may_ask_whether_the_server_is_well(stranger: Wire):
    for path in ("/healthz", "/livez", "/readyz", "/version"):
        assert stranger.get(path).status_code == 200


def test_a_wrong_token_is_unauthorized(stranger: Wire):
    for token in ("nonsense", "a.b.c", "é"):
        headers = {"Authorization": f"Bearer {token}".encode()}
        answer = stranger.get("/api/v1/namespaces", headers=headers)
        assert refused(answer, 401, "Unauthorized")["message"] == "Unauthorized"


def test_a_request_has_an_audit_id(wire: Wire):
    assert wire.get("/api/v1/namespaces").headers["Audit-Id"]
    mine = str(uuid.uuid4())
    answer = wire.get("/api/v1/namespaces", headers={"Audit-Id": mine})
    assert answer.headers["Audit-Id"] == mine


# -- tokens ----------------------------------------------------------------------------------------


def test_a_token_is_its_service_account(wire: Wire, stranger: Wire, account: str, token_of):
    token, uid = token_of(account), wire.ok("GET", account)["metadata"]["uid"]
    answer = stranger.post(f"{_REVIEWS}/selfsubjectreviews", {}, headers=bearer(token))
    assert answer.status_code == 201
    info = answer.json()["status"]["userInfo"]
    namespace = account.split("/")[4]
    assert (info["username"], info["uid"]) == (username(account), uid)
    assert set(info["groups"]) == {
        "system:serviceaccounts",
        f"system:serviceaccounts:{namespace}",
        "system:authenticated",
    }


def test_a_token_claims_who_it_is_and_how_long(wire: Wire, account: str):
    before = int(time.time())
    answer = wire.post(f"{account}/token", {"spec": {"expirationSeconds": 1200}})
    assert answer.status_code == 201
    made = answer.json()
    assert made["kind"] == "TokenRequest"
    found = claims(made["status"]["token"])
    assert found["sub"] == username(account)
    assert found["kubernetes.io"]["serviceaccount"]["name"] == "robot"
    assert found["exp"] - found["iat"] == 1200
    assert found["iat"] >= before - 5
    assert found["aud"] == made["spec"]["audiences"]
    assert made["status"]["expirationTimestamp"].endswith("Z")


def test_a_token_request_says_what_is_wrong(wire: Wire, ns: str, account: str):
    answer = wire.post(f"{account}/token", {"spec": {"expirationSeconds": 60}})
    refused(answer, 422, "Invalid", "may not specify a duration less than 10 minutes")
    missing = f"{ns}/serviceaccounts/missing/token"
    refused(wire.post(missing, {}), 404, "NotFound", 'serviceaccounts "missing" not found')
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "missing"}
    answer = wire.post(f"{account}/token", {"spec": {"boundObjectRef": bound}})
    refused(answer, 404, "NotFound", 'pods "missing" not found')
    bound = {"kind": "ConfigMap", "apiVersion": "v1", "name": "x"}
    answer = wire.post(f"{account}/token", {"spec": {"boundObjectRef": bound}})
    refused(answer, 400, "BadRequest", "cannot bind token to object of type")


def test_a_token_for_others_is_not_for_the_api(wire: Wire, stranger: Wire, account: str, token_of):
    token = token_of(account, audiences=["vault"])
    answer = stranger.get("/api", headers=bearer(token))
    refused(answer, 401, "Unauthorized")
    status = review(wire, token, "vault", "other")
    assert (status["authenticated"], status["audiences"]) == (True, ["vault"])
    assert not review(wire, token).get("authenticated")


def test_a_token_ends_with_its_service_account(wire: Wire, stranger: Wire, account: str, token_of):
    token = token_of(account)
    assert stranger.get("/api", headers=bearer(token)).status_code == 200
    wire.ok("DELETE", account)
    until(lambda: stranger.get("/api", headers=bearer(token)).status_code == 401)


def test_a_bound_token_ends_with_its_secret(
    wire: Wire, stranger: Wire, ns: str, account: str, token_of
):
    wire.ok("POST", f"{ns}/secrets", {"metadata": {"name": "leash"}})
    token = token_of(
        account, boundObjectRef={"kind": "Secret", "apiVersion": "v1", "name": "leash"}
    )
    assert claims(token)["kubernetes.io"]["secret"]["name"] == "leash"
    assert stranger.get("/api", headers=bearer(token)).status_code == 200
    wire.ok("DELETE", f"{ns}/secrets/leash")
    until(lambda: stranger.get("/api", headers=bearer(token)).status_code == 401)
    until(lambda: "invalidated" in review(wire, token).get("error", ""))


def test_a_token_review_tells_who_a_token_is(wire: Wire, account: str, token_of):
    status = review(wire, token_of(account))
    assert status["authenticated"] is True
    assert status["user"]["username"] == username(account)
    status = review(wire, "nonsense")
    assert not status.get("authenticated")
    assert "invalid bearer token" in status["error"]
    refused(wire.post(f"{_REVIEWS}/tokenreviews", {"spec": {}}), 400, "BadRequest")


def test_a_review_is_only_created(wire: Wire):
    refused(wire.get(f"{_REVIEWS}/tokenreviews"), 405, "MethodNotAllowed")


def test_the_keys_of_tokens_are_published(wire: Wire, account: str, token_of):
    found = wire.ok("GET", "/.well-known/openid-configuration")
    token = token_of(account)
    assert found["issuer"] == claims(token)["iss"]
    assert found["jwks_uri"].endswith("/openid/v1/jwks")
    answer = wire.get("/openid/v1/jwks")
    assert answer.headers["Content-Type"] == "application/jwk-set+json"
    head = token.split(".")[0]
    key_id = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
    assert key_id in [key["kid"] for key in answer.json()["keys"]]


def test_a_secret_for_a_token_is_filled(wire: Wire, stranger: Wire, ns: str, account: str):
    metadata = {"name": "lasting", "annotations": {"kubernetes.io/service-account.name": "robot"}}
    wire.ok("POST", f"{ns}/secrets", {"metadata": metadata, "type": _SECRET_TYPE})

    def data() -> dict:
        return wire.ok("GET", f"{ns}/secrets/lasting").get("data", {})

    until(lambda: {"token", "ca.crt", "namespace"} <= data().keys())
    token = base64.b64decode(data()["token"]).decode()
    assert base64.b64decode(data()["namespace"]).decode() == ns.rpartition("/")[2]
    assert b"BEGIN CERTIFICATE" in base64.b64decode(data()["ca.crt"])
    assert stranger.get("/api", headers=bearer(token)).status_code == 200
    wire.ok("DELETE", account)
    until(lambda: wire.get(f"{ns}/secrets/lasting").status_code == 404)


def test_every_namespace_trusts_the_authority(wire: Wire, ns: str):
    path = f"{ns}/configmaps/kube-root-ca.crt"
    until(lambda: wire.get(path).status_code == 200)
    assert "BEGIN CERTIFICATE" in wire.ok("GET", path)["data"]["ca.crt"]


def test_kubectl_makes_tokens_and_knows_who_it_is(
    kubectl: str, kubeconfig: Path, wire: Wire, ns: str, account: str
):
    def run(*arguments: str) -> str:
        command = [kubectl, "--kubeconfig", str(kubeconfig), "-n", ns.rpartition("/")[2]]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    token = run(
        "create", "token", "robot", "--duration", "20m", "--audience=a", "--audience=b"
    ).strip()
    found = claims(token)
    assert (found["aud"], found["exp"] - found["iat"]) == (["a", "b"], 1200)
    secret = ("--bound-object-kind", "Secret", "--bound-object-name", "leash")
    wire.ok("POST", f"{ns}/secrets", {"metadata": {"name": "leash"}})
    bound = claims(run("create", "token", "robot", *secret).strip())
    assert bound["kubernetes.io"]["secret"]["name"] == "leash"
    shown = json.loads(run("auth", "whoami", "-o", "json"))
    assert "system:authenticated" in shown["status"]["userInfo"]["groups"]


def test_a_pod_runs_as_a_service_account_that_exists(wire: Wire, ns: str):
    pod = {
        "metadata": {"name": "lost"},
        "spec": {"serviceAccountName": "missing", "containers": [{"name": "c", "image": "i"}]},
    }
    status = refused(wire.post(f"{ns}/pods", pod), 403, "Forbidden")
    namespace = ns.rpartition("/")[2]
    assert status["message"] == (
        'pods "lost" is forbidden: error looking up service account '
        f'{namespace}/missing: serviceaccount "missing" not found'
    )
