"""What a cluster is made of: directory, addresses, settings, certificates."""

from __future__ import annotations

import socket
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from labkit.clusters import addresses, paths, settings
from labkit.clusters.pki import CertificateAuthority
from labkit.errors import ClusterError, UsageError

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15s", 15), ("1m30s", 90), ("5m0s", 300), ("500ms", 0.5), ("1.5h", 5400), ("0", 0)],
)
def test_durations_are_gos(text: str, seconds: float):
    assert settings.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "15", "s", "1 s", "-1s", "1d"])
def test_what_is_no_duration_is_refused(text: str):
    with pytest.raises(ValueError, match="is not a duration"):
        settings.duration(text)


def test_an_unknown_setting_says_where_to_look():
    with pytest.raises(UsageError, match="labkit up --help"):
        settings.complete({"horizontal-pod-autoscaler-magic": "1s"})


def test_clusters_never_share_an_address():
    seen: set[str] = set()
    for number in range(addresses.CLUSTERS):
        cluster = addresses.Addresses(number)
        mine = {cluster.service_cidr, cluster.node(1), cluster.pod_cidr(0), cluster.pod_cidr(1)}
        assert not mine & seen
        seen |= mine


def test_a_claimed_number_is_nobody_elses_until_it_is_given_back():
    first, holder = addresses.claim(None)
    second, other = addresses.claim(None)
    other.close()
    assert first.number != second.number
    with pytest.raises(ClusterError, match="of this cluster is taken"):
        addresses.claim(first.number)
    holder.close()
    again, holder = addresses.claim(first.number)
    holder.close()
    assert again == first


def test_a_program_on_the_clusters_address_is_found_before_anything_starts():
    wanted, holder = addresses.claim(None)
    holder.close()
    with socket.socket() as squatter:
        # Connections of a cluster that had the address just now may still be fading.
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind((wanted.api_server, addresses.API_PORT))
        squatter.listen()
        with pytest.raises(ClusterError, match="another program listens there"):
            addresses.claim(wanted.number)


@pytest.mark.parametrize("name", ["", "Lab", "a_b", "-a", "a" * 33, "../x"])
def test_an_impossible_name_is_refused(name: str):
    with pytest.raises(UsageError):
        paths.ClusterDir.named(name)


def test_a_socket_path_is_never_too_long():
    deep = paths.ClusterDir(Path("/") / ("x" * 60) / ("y" * 60))
    assert len(str(deep.docker_socket)) <= 100
    assert deep.docker_socket == paths.ClusterDir(deep.root).docker_socket


def test_a_certificate_says_who_its_owner_is(tmp_path: Path):
    authority = CertificateAuthority(tmp_path, NOW)
    authority.client("admin", "kubernetes-admin", "system:masters")
    found = x509.load_pem_x509_certificate(authority.certificate("admin").read_bytes())
    assert found.subject.rfc4514_string() == "CN=kubernetes-admin,O=system:masters"
    assert stat.S_IMODE(authority.key("admin").stat().st_mode) == 0o600


def test_a_server_and_a_client_of_one_authority_trust_each_other(tmp_path: Path):
    authority = CertificateAuthority(tmp_path, NOW)
    authority.client("admin", "kubernetes-admin", "system:masters")
    authority.server("apiserver", "kube-apiserver", ("127.96.0.1", "kubernetes"))
    server = authority.server_context("apiserver", clients=ssl.CERT_REQUIRED)
    names = x509.load_pem_x509_certificate(authority.certificate("apiserver").read_bytes())
    alternatives = names.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in alternatives} == {"127.96.0.1", "kubernetes"}
    assert server.verify_mode is ssl.CERT_REQUIRED
    assert authority.client_context("admin").check_hostname


def test_certificates_are_kept_while_they_are_good_and_renewed_before_they_end(tmp_path: Path):
    authority = CertificateAuthority(tmp_path, NOW)
    authority.server("web", "web", ("a",))
    first = authority.certificate("web").read_bytes()
    again = CertificateAuthority(tmp_path, NOW + 86400)
    again.server("web", "web", ("a",))
    assert again.certificate("web").read_bytes() == first
    again.server("web", "web", ("a", "b"))
    assert again.certificate("web").read_bytes() != first, "other hosts, another certificate"
    later = CertificateAuthority(tmp_path, NOW + 340 * 86400)
    later.server("web", "web", ("a", "b"))
    fresh = x509.load_pem_x509_certificate(later.certificate("web").read_bytes())
    assert fresh.not_valid_after_utc.timestamp() > NOW + 600 * 86400
