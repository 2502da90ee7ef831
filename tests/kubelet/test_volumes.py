"""What volumes hold, and where containers see them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from labkit.kubelet import atomic_writer, volume_content, volumes
from labkit.kubelet.env import ConfigError
from labkit.kubelet.tokens import Token, is_due
from labkit.kubelet.volume_content import Content, File, VolumeError

POD = {
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "uid": "uid-1",
        "labels": {"b": 'say "hi"', "a": "1"},
    },
    "spec": {"containers": [{"name": "app", "resources": {"limits": {"cpu": "1500m"}}}]},
}
OBJECTS = {
    ("ConfigMap", "settings"): {
        "data": {"colour": "blue", "size": "9"},
        "binaryData": {"logo": "AAE="},
    },
    ("Secret", "keys"): {"data": {"token": "czNjcmV0"}},
}
CONTENT = Content(
    POD,
    lambda kind, name: OBJECTS.get((kind, name)),
    lambda asked: f"token for {asked.audience or 'the API'}",
    {"memory": "1Gi"},
)


def config_map(**fields: object) -> dict:
    return {"name": "v", "configMap": {"name": "settings", **fields}}


def downward(path: str, **reference: object) -> dict:
    return {"name": "v", "downwardAPI": {"items": [{"path": path, **reference}]}}


FILES = {
    "every key of a ConfigMap is a file": (
        config_map(),
        {"colour": (b"blue", 0o644), "size": (b"9", 0o644), "logo": (b"\0\1", 0o644)},
    ),
    "items choose keys, paths and modes": (
        config_map(
            defaultMode=0o400,
            items=[
                {"key": "colour", "path": "etc/colour"},
                {"key": "size", "path": "size", "mode": 0o600},
            ],
        ),
        {"etc/colour": (b"blue", 0o400), "size": (b"9", 0o600)},
    ),
    "what is optional may be missing": (
        {"name": "v", "secret": {"secretName": "none", "optional": True}},
        {},
    ),
    "an optional key too": (config_map(optional=True, items=[{"key": "x", "path": "x"}]), {}),
    "a Secret is decoded": (
        {"name": "v", "secret": {"secretName": "keys"}},
        {"token": (b"s3cret", 0o644)},
    ),
    "labels are lines in order": (
        downward("labels", fieldRef={"fieldPath": "metadata.labels"}),
        {"labels": (b'a="1"\nb="say \\"hi\\""', 0o644)},
    ),
    "limits are in units of the divisor": (
        downward(
            "cpu",
            resourceFieldRef={"containerName": "app", "resource": "limits.cpu", "divisor": "1m"},
        ),
        {"cpu": (b"1500", 0o644)},
    ),
    "and the node's where there is none": (
        downward(
            "memory", resourceFieldRef={"containerName": "app", "resource": "limits.memory"}
        ),
        {"memory": (str(2**30).encode(), 0o644)},
    ),
    "a projected volume joins its sources": (
        {
            "name": "v",
            "projected": {
                "defaultMode": 0o440,
                "sources": [
                    {"serviceAccountToken": {"path": "token", "audience": "vault"}},
                    {"secret": {"name": "keys", "items": [{"key": "token", "path": "key"}]}},
                    {"downwardAPI": {"items": [
                        {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
                    ]}},
                ],
            },
        },
        {
            "token": (b"token for vault", 0o440),
            "key": (b"s3cret", 0o440),
            "namespace": (b"shop", 0o440),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FILES)
def test_a_volume_holds(what: str):
    volume, expected = FILES[what]
    assert volume_content.files(volume, CONTENT) == {
        path: File(*file) for path, file in expected.items()
    }


@pytest.mark.parametrize(
    ("volume", "why"),
    [
        ({"name": "v", "configMap": {"name": "none"}}, 'configmap "none" not found'),
        ({"name": "v", "secret": {"secretName": "none"}}, 'secret "none" not found'),
        (
            config_map(items=[{"key": "x", "path": "x"}]),
            "configmap references non-existent config key: x",
        ),
        (
            {"name": "v", "secret": {"secretName": "keys", "items": [{"key": "x", "path": "x"}]}},
            "references non-existent secret key: x",
        ),
    ],
)
def test_what_is_missing_is_named(volume: dict, why: str):
    with pytest.raises(VolumeError) as caught:
        volume_content.files(volume, CONTENT)
    assert str(caught.value) == why


def test_what_a_volume_refers_to_is_known_before():
    sources = [
        {"configMap": {"name": "a"}},
        {"secret": {"name": "b"}},
        {"serviceAccountToken": {"path": "t"}},
    ]
    volume = {"name": "v", "projected": {"sources": sources}}
    assert volume_content.references(volume) == {("ConfigMap", "a"), ("Secret", "b")}
    assert [one.path for one in volume_content.tokens(volume)] == ["t"]


# Writing


def seen(directory: Path) -> dict[str, str]:
    """What a program finds: every file that does not begin with two dots."""
    found = (path for path in directory.rglob("*") if path.is_file())
    found = (path for path in found if not str(path.relative_to(directory)).startswith(".."))
    tops = [path for path in directory.iterdir() if path.is_dir() and path.name[:2] != ".."]
    inner = (path for top in tops for path in Path(top).rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_text() for path in (*found, *inner)}


def test_files_are_replaced_all_at_once(tmp_path: Path):
    old = {"colour": File(b"blue", 0o644), "gone": File(b"x", 0o600), "a/b": File(b"deep", 0o644)}
    assert atomic_writer.write(tmp_path, old, 1000.0)
    assert seen(tmp_path) == {"colour": "blue", "gone": "x", "a/b": "deep"}
    assert os.readlink(tmp_path / "colour") == "..data/colour"
    assert os.readlink(tmp_path / "..data").startswith("..1970_01_01_00_16_40.")
    assert (tmp_path / "gone").stat().st_mode & 0o777 == 0o600
    assert not atomic_writer.write(tmp_path, old, 2000.0), "what is there already is left alone"
    reader = open(tmp_path / "colour")  # noqa: SIM115 (a reader of the old content)
    assert atomic_writer.write(tmp_path, {"colour": File(b"red", 0o644)}, 2000.0)
    assert seen(tmp_path) == {"colour": "red"}
    with reader:
        assert reader.read() == "blue"
    timed = [name for name in os.listdir(tmp_path) if name.startswith("..19")]
    assert timed == [os.readlink(tmp_path / "..data")]


# Places


def directory(root: Path, *given: dict) -> volumes.PodDirectory:
    return volumes.PodDirectory(root, {**POD, "spec": {"volumes": list(given)}})


HOST = {"name": "root", "hostPath": {"path": "/srv"}}


def test_a_volume_is_where_a_kubelet_has_it(tmp_path: Path):
    own = directory(tmp_path)
    path = own.make_volume({"name": "scratch", "emptyDir": {}})
    assert path == tmp_path / "pods/uid-1/volumes/kubernetes.io~empty-dir/scratch"
    assert path.stat().st_mode & 0o777 == 0o777
    assert (tmp_path / "pods").stat().st_mode & 0o777 == 0o700
    own.remove()
    assert not list((tmp_path / "pods").iterdir())


def test_mounts_are_binds_and_parents_come_first(tmp_path: Path):
    scratch = {"name": "scratch", "emptyDir": {}}
    own = directory(tmp_path, HOST, scratch)
    where = own.make_volume(scratch)
    mounts = [
        {"name": "scratch", "mountPath": "/data/cache", "subPathExpr": "$(NAME)"},
        {"name": "root", "mountPath": "/data", "readOnly": True},
    ]
    container = {"name": "app", "volumeMounts": mounts}
    found = own.binds(container, {"NAME": "web"}, 0)
    assert found == ["/srv:/data:ro", f"{where}/web:/data/cache"]
    assert (where / "web").is_dir()


def test_a_sub_path_must_stay_inside(tmp_path: Path):
    scratch = {"name": "scratch", "emptyDir": {}}
    own = directory(tmp_path, scratch)
    (own.make_volume(scratch) / "out").symlink_to("/etc")
    mounts = [{"name": "scratch", "mountPath": "/data", "subPath": "out"}]
    with pytest.raises(ConfigError, match='failed to prepare subPath for volumeMount "scratch"'):
        own.binds({"name": "app", "volumeMounts": mounts}, {}, 0)


def test_a_sub_path_of_a_config_map_stays_as_it_was(tmp_path: Path):
    volume = config_map()
    own = directory(tmp_path, volume)
    where = own.make_volume(volume)
    atomic_writer.write(where, {"colour": File(b"blue", 0o644)}, 1000.0)
    mounts = [{"name": "v", "mountPath": "/etc/colour", "subPath": "colour"}]
    (bind,) = own.binds({"name": "app", "volumeMounts": mounts}, {}, 0)
    atomic_writer.write(where, {"colour": File(b"red", 0o644)}, 2000.0)
    assert Path(bind.partition(":")[0]).read_text() == "blue"
    assert (where / "colour").read_text() == "red"


@pytest.mark.parametrize(
    ("kind", "name", "what"),
    [
        ("Directory", "file", "a directory"),
        ("Directory", "none", "a directory"),
        ("File", "dir", "a file"),
        ("Socket", "file", "a socket file"),
        ("CharDevice", "file", "a character device"),
        ("BlockDevice", "dir", "a block device"),
        ("DirectoryOrCreate", "file", ""),
    ],
)
def test_a_host_path_of_another_type_is_refused(tmp_path: Path, kind: str, name: str, what: str):
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    path = str(tmp_path / name)
    said = f"hostPath type check failed: {path} is not {what}" if what else f"{path}: file exists"
    with pytest.raises(VolumeError) as caught:
        volumes.check_host_path({"path": path, "type": kind})
    assert str(caught.value) == said


def test_a_host_path_of_its_type_is_accepted_or_made(tmp_path: Path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for kind, name in (
            ("DirectoryOrCreate", "a/b"),
            ("Directory", "a/b"),
            ("FileOrCreate", "a/c"),
            ("File", "a/c"),
            ("Socket", "socket"),
            ("", "none"),
        ):
            volumes.check_host_path({"path": str(tmp_path / name), "type": kind})
    volumes.check_host_path({"path": "/dev/null", "type": "CharDevice"})
    assert not (tmp_path / "none").exists()


def test_types_that_are_not_mounted_are_named():
    assert not volumes.refusal(HOST)
    assert not volumes.refusal({"name": "plain"})
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "c"}}
    assert "persistentVolumeClaim" in volumes.refusal(claim)


@pytest.mark.parametrize(
    ("seconds", "age", "due"),
    [(3600, 0, False), (3600, 2880, False), (3600, 2881, True), (10**6, 86401, True)],
)
def test_tokens_are_renewed_before_they_expire(seconds: int, age: int, due: bool):
    assert is_due(Token("t", seconds, 1000.0 + seconds), 1000.0 + age) is due
