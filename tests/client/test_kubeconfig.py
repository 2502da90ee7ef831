"""Kubeconfigs as people have them, whole and broken."""

import base64
import json

import pytest
import yaml

from labkit.client.kubeconfig import client_from_kubeconfig, transport
from labkit.errors import UsageError
from labkit.kube.resources import NAMESPACES
from tests.serving import Certificates, address, serving

SERVER = "https://127.0.0.1:6443"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def write(tmp_path):
    """Writes a kubeconfig of one context `c`; its path."""

    def write(cluster=None, user=None, **more):
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "k", "cluster": {"server": SERVER, **(cluster or {})}}],
            "users": [{"name": "u", "user": user or {}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "current-context": "c",
            **more,
        }
        path = tmp_path / "config"
        path.write_text(yaml.safe_dump(config))
        return path

    return write


async def namespaces(path, context=None):
    client = await client_from_kubeconfig(path, context)
    try:
        return {item["metadata"]["name"] for item in (await client.list(NAMESPACES))["items"]}
    finally:
        await client.close()


async def test_certificates_may_be_inline(certificates, tmp_path):
    async with serving(certificates) as (_, http):
        path = certificates.write_kubeconfig(tmp_path / "config", address(http))
        assert "default" in await namespaces(path)
        assert "default" in await namespaces(str(path), "labkit-test")


async def test_certificates_may_be_files_beside_the_kubeconfig(certificates, write, tmp_path):
    authority = certificates.authority
    for source, name in (("ca", "ca.crt"), ("admin", "me.crt")):
        (tmp_path / name).write_bytes(authority.certificate(source).read_bytes())
    (tmp_path / "me.key").write_bytes(authority.key("admin").read_bytes())
    async with serving(certificates) as (_, http):
        path = write(
            {"server": address(http), "certificate-authority": "ca.crt"},
            {"client-certificate": "me.crt", "client-key": str(tmp_path / "me.key")},
        )
        assert "default" in await namespaces(path)


async def test_the_servers_certificate_is_verified(certificates, write):
    async with serving(certificates) as (_, http):
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            await namespaces(write({"server": address(http)}))
        loose = write({"server": address(http), "insecure-skip-tls-verify": True})
        with pytest.raises(Exception, match="Unauthorized"):
            await namespaces(loose)


def test_tokens_go_into_a_header(write, tmp_path):
    assert transport(write(user={"token": "t"})).headers["Authorization"] == "Bearer t"
    (tmp_path / "token").write_text("f\n")
    assert transport(write(user={"tokenFile": "token"})).headers["Authorization"] == "Bearer f"


def b64(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"current-context": ""}, "names no current context"),
        ({"current-context": "x"}, "There is no context 'x' in .*; there is 'c'"),
        ({"contexts": None}, "There is no context 'c' in .*; there is none"),
        ({"clusters": []}, "There is no cluster 'k'"),
        ({"users": []}, "There is no user 'u'"),
        ({"cluster": {"server": ""}}, "has no server"),
        ({"cluster": {"certificate-authority-data": "!"}}, "is not base64"),
        ({"cluster": {"certificate-authority-data": b64("x")}}, "cannot be used"),
        ({"cluster": {"certificate-authority": "absent"}}, "cannot be read"),
        ({"user": {"client-certificate-data": b64("x")}}, "has no client-key"),
        ({"user": {"exec": {"command": "x"}}}, "signs in by 'exec'"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_why_and_what_to_type(write, changes, words):
    with pytest.raises(UsageError, match=words) as info:
        transport(write(**changes))
    assert info.value.why
    assert ": " in info.value.fix


@pytest.mark.parametrize("content", ["[", "a: [", "just text", json.dumps([1])])
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path, content):
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(UsageError, match=str(path)):
        transport(path)


def test_a_file_that_is_absent_is_named(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        transport(tmp_path / "absent")


def test_an_unknown_context_can_be_asked_for(write):
    with pytest.raises(UsageError, match="There is no context 'other'"):
        transport(write(), "other")
