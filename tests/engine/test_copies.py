"""`docker cp` and `docker export`: tars in and out of containers, alike on both engines."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from docker.errors import APIError

from tests.engine.conftest import Lab, until
from tests.engine.test_docker_sdk import FOREVER, refused
from tests.engine.test_streams import CLI, docker

__all__ = ["docker"]

MAKE = "mkdir -p d/e && echo one > d/f && echo two > d/e/g && ln -s d/f link && echo made; "


def made(lab: Lab):
    """A container with some files in /tmp/w."""
    container = lab.run(MAKE + FOREVER, working_dir="/tmp/w")
    until(lambda: container.logs() == b"made\n", "the files")
    return container


def opened(pieces: Iterable[bytes]) -> tarfile.TarFile:
    return tarfile.TarFile(fileobj=io.BytesIO(b"".join(pieces)))


def archive(container, path: str) -> tuple[tarfile.TarFile, dict]:
    pieces, found = container.get_archive(path)
    return opened(pieces), found


def tar_of(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def test_a_directory_comes_out_under_its_own_name(lab: Lab) -> None:
    tar, found = archive(made(lab), "/tmp/w/d")
    names = {name.rstrip("/") for name in tar.getnames()}
    assert names == {"d", "d/f", "d/e", "d/e/g"}
    assert tar.extractfile("d/e/g").read() == b"two\n"
    assert (found["name"], found["linkTarget"], found["mode"] >> 31) == ("d", "", 1)


def test_a_file_and_a_link_come_out_as_what_they_are(lab: Lab) -> None:
    container = made(lab)
    tar, found = archive(container, "/tmp/w/d/f")
    assert tar.getnames() == ["f"]
    assert (found["size"], found["mode"]) == (4, 0o644)
    tar, found = archive(container, "/tmp/w/link")
    assert tar.getmember("link").linkname == "d/f"
    assert (found["linkTarget"], found["mode"] >> 27 & 1) == ("/tmp/w/d/f", 1)


def test_a_tar_is_unpacked_into_a_directory(lab: Lab) -> None:
    container = made(lab)
    assert container.put_archive("/tmp/w/d", tar_of(new="news", e__h="below"))
    code, output = container.exec_run(["cat", "d/new", "d/e/h", "d/f"], workdir="/tmp/w")
    assert (code, output) == (0, b"newsbelowone\n")


def test_files_go_in_and_out_of_a_container_that_does_not_run(lab: Lab) -> None:
    container = lab.create("cat f", working_dir="/tmp")
    container.put_archive("/tmp", tar_of(f="hello"))
    assert archive(container, "/tmp/f")[0].extractfile("f").read() == b"hello"
    container.start()
    container.wait()
    assert container.logs() == b"hello"


def test_what_is_not_there_is_not_found(lab: Lab) -> None:
    container = made(lab)
    words = f"Could not find the file {{}} in container {container.id}"
    assert refused(container.get_archive, "/no") == (404, words.format("/no"))
    assert refused(container.put_archive, "/no", tar_of(a="")) == (404, words.format("/no"))
    status, words = refused(container.put_archive, "/tmp/w/d/f", tar_of(a=""))
    assert (status in (400, 500), words) == (True, "extraction point is not a directory")


def test_an_export_has_all_files(lab: Lab) -> None:
    container = made(lab)
    tar = opened(container.export())
    assert tar.extractfile("tmp/w/d/f").read() == b"one\n"


def test_cp_copies_both_ways(lab: Lab, docker: CLI, tmp_path: Path) -> None:
    container = made(lab)
    done = docker("cp", f"{container.id}:/tmp/w/d", str(tmp_path / "copy"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copy/e/g").read_text() == "two\n"
    (tmp_path / "copy/e/g").write_text("changed")
    assert docker("cp", f"{tmp_path}/copy/.", f"{container.id}:/tmp/w/back").returncode == 0
    assert docker("cp", f"{tmp_path}/copy/f", f"{container.id}:/tmp/w/back/f2").returncode == 0
    command = ["cat", "back/e/g", "back/f2"]
    assert container.exec_run(command, workdir="/tmp/w").output == b"changedone\n"
    shown = docker("cp", f"{container.id}:/tmp/w/d/f", "-")
    assert opened([shown.stdout]).getnames() == ["f"]


def test_a_packed_tar_is_unpacked(lab: Lab) -> None:
    container = made(lab)
    packed = subprocess.run(["gzip"], input=tar_of(z="zipped"), capture_output=True, check=True)
    container.put_archive("/tmp/w", packed.stdout)
    assert container.exec_run(["cat", "z"], workdir="/tmp/w").output == b"zipped"


def evil(name: str, **more) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, more.get("to", "/")
        tar.addfile(link)
        info = tarfile.TarInfo(name)
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
    return out.getvalue()


def test_no_tar_writes_outside_of_its_container(embedded: Lab, tmp_path: Path) -> None:
    container = embedded.create("true")
    for name, to in ((f"..{tmp_path}/f", "/"), ("out/f", str(tmp_path)), ("../" * 20 + "f", "/")):
        with pytest.raises(APIError, match="Error processing tar file"):
            container.put_archive("/root", evil(name, to=to))
    assert os.listdir(tmp_path) == []


def test_no_path_leads_out_of_a_container(embedded: Lab, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    container = embedded.create("true")
    container.put_archive("/tmp", evil("f", to=str(tmp_path)))
    for path in ("/tmp/out/secret", f"/../../../../../..{tmp_path}/secret", "/etc/passwd"):
        assert refused(container.get_archive, path)[0] == 404


def test_a_bind_mount_is_copied_through(embedded: Lab, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("from the host")
    container = embedded.create("true", volumes=[f"{tmp_path}:/data"])
    assert archive(container, "/data/f")[0].extractfile("f").read() == b"from the host"
    container.put_archive("/data", tar_of(g="to the host"))
    assert (tmp_path / "g").read_text() == "to the host"
    tar = opened(container.export())
    assert "data" not in tar.getnames()
