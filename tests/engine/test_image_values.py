"""Images by tables: Dockerfiles, words, trees, contexts, and what is removed with which name."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from labkit.engine import (
    contexts,
    dockerfile,
    image_archive,
    image_removal,
    references,
    trees,
    words,
)
from labkit.engine.blobs import Blobs
from labkit.engine.builder import Builder, BuildError
from labkit.engine.catalogue import APPS, CATALOGUE
from labkit.engine.dockerignore import is_ignored
from labkit.engine.errors import BadParameter, Conflict, NotFound
from labkit.engine.filters import Filters, path_match
from labkit.engine.image import EMPTY_CONFIG, Image
from labkit.engine.image_removal import User
from labkit.engine.images import Images
from labkit.engine.trees import Entry, Tree, TreeError

LONG_AGO = 1.0


def engine_images(directory: Path) -> Images:
    """The images of an engine that has just started."""
    images = Images(directory / "images", directory / "registry")
    images.load()
    return images


def pull(images: Images, *names: str) -> None:
    for name in names:
        list(images.pull(references.parse(name)))


# The catalogue


def test_ids_depend_on_the_content_alone(tmp_path: Path) -> None:
    first, second = engine_images(tmp_path / "1"), engine_images(tmp_path / "2")
    for images in (first, second):
        pull(images, "todolist")
    assert first.find("todolist").id == second.find("todolist").id
    assert first.find("todolist").id != first.find("pause:3.10").id


def test_every_image_of_the_catalogue_can_be_pulled_and_has_a_command(tmp_path: Path) -> None:
    images = engine_images(tmp_path)
    for key, (_, _, names) in CATALOGUE.items():
        for name in names:
            if key != "pause":
                with pytest.raises(NotFound, match="No such image"):
                    images.find(name)
            pull(images, name)
            assert images.find(name).config["Cmd"]


def test_a_pulled_image_is_found_by_its_digest(tmp_path: Path) -> None:
    images = engine_images(tmp_path)
    pull(images, "todolist")
    (digest,) = images.inspect("todolist")["RepoDigests"]
    assert images.find(digest) is images.find("todolist")


def test_the_copied_out_application_builds_to_the_same_image(tmp_path: Path) -> None:
    images = engine_images(tmp_path)
    pull(images, "todolist", "python:3-slim")
    built = build(images, (APPS / "todolist/Dockerfile").read_text(), APPS / "todolist")
    assert built.id == images.find("todolist").id


def build(images: Images, text: str, directory: Path, **args: str) -> Image:
    """What `docker build` makes of a directory."""
    builder = Builder(contexts.from_directory(directory), images.blobs, args, "Dockerfile")
    for instruction in dockerfile.parse(text):
        if instruction.word == "FROM":
            name = builder.base(instruction)
            builder.begin(None if name == "scratch" else images.find(name))
        else:
            builder.run(instruction, LONG_AGO)
    image = builder.image(LONG_AGO)
    images.add(image)
    return image


# Persistence


def test_images_and_their_names_outlive_the_engine(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/a.txt").write_text("A")
    images = engine_images(tmp_path)
    pull(images, "todolist")
    built = build(images, "FROM todolist\nCOPY a.txt /\nLABEL who=me", tmp_path / "app")
    images.tag(built, references.parse("mine:1"))
    again = engine_images(tmp_path)
    assert again.find("mine:1").id == built.id
    assert again.find("todolist").id == images.find("todolist").id
    again.find("mine:1").unpack(tmp_path / "root", again.blobs)
    assert (tmp_path / "root/a.txt").read_text() == "A"
    assert (tmp_path / "root/app/todolist.py").exists()


def test_a_damaged_file_costs_its_image_and_nothing_else(tmp_path: Path) -> None:
    images = engine_images(tmp_path)
    kept = build(images, "FROM scratch\nLABEL a=1", tmp_path)
    lost = build(images, "FROM scratch\nLABEL a=2", tmp_path)
    for number, image in enumerate((kept, lost)):
        images.tag(image, references.parse(f"image:{number}"))
    (tmp_path / "images" / f"{lost.id[7:]}.json").write_text("{")
    again = engine_images(tmp_path)
    assert again.find("image:0").id == kept.id
    with pytest.raises(NotFound):
        again.find("image:1")


def test_what_no_image_has_is_removed_from_the_disk(tmp_path: Path) -> None:
    images = engine_images(tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "app/a.txt").write_text("A")
    built = build(images, "FROM scratch\nCOPY a.txt /", tmp_path / "app")
    assert len(list((tmp_path / "images/blobs").iterdir())) == 1
    images.remove(built.id, [], force=False)
    assert list((tmp_path / "images/blobs").iterdir()) == []


def test_what_was_pushed_can_be_pulled_after_it_was_removed(tmp_path: Path) -> None:
    images = engine_images(tmp_path)
    built = build(images, "FROM scratch\nLABEL a=1", tmp_path)
    images.tag(built, references.parse("mine"))
    with pytest.raises(NotFound, match="pull access denied for mine"):
        pull(images, "mine")
    list(images.push(references.parse("mine")))
    images.remove("mine", [], force=False)
    images = engine_images(tmp_path)
    with pytest.raises(NotFound, match="No such image"):
        images.find("mine")
    pull(images, "mine")
    assert images.find("mine").id == built.id


# Removal


def reference(name: str) -> references.Reference:
    return references.parse(name)


DIGEST = "a@sha256:" + "0" * 64
RUNS, STOPPED = User("r" * 64, "sha256:i", True), User("s" * 64, "sha256:i", False)
IMAGE = Image("sha256:i", EMPTY_CONFIG, Tree(), (), 0.0, "sha256:l")


@pytest.mark.parametrize(
    ("names", "name", "users", "force", "untagged", "deleted"),
    [
        (["a:1"], "a:1", [], False, ["a:1"], True),
        (["a:1", "a:2"], "a:1", [], False, ["a:1"], False),
        (["a:1", DIGEST], "a:1", [], False, ["a:1", DIGEST], True),
        (["a:1", DIGEST, "b:1"], "a:1", [], False, ["a:1", DIGEST], False),
        (["a:1", "a:2"], "a:1", [RUNS], False, ["a:1"], False),
        (["a:1"], "a:1", [RUNS], True, ["a:1"], False),
        (["a:1"], "a:1", [STOPPED], True, ["a:1"], True),
        (["a:1", DIGEST], None, [], False, ["a:1", DIGEST], True),
        (["a:1", "b:1"], None, [], True, ["a:1", "b:1"], True),
        (["a:1"], None, [STOPPED], True, ["a:1"], True),
        ([], None, [], False, [], True),
    ],
)
def test_the_last_name_takes_the_image_with_it(names, name, users, force, untagged, deleted):
    known = [reference(one) for one in names]
    asked = name and reference(name)
    plan = image_removal.plan(IMAGE, asked, name or "i", known, users, force=force)
    assert ([one.familiar for one in plan.untagged], plan.deleted) == (untagged, deleted)


@pytest.mark.parametrize(
    ("names", "name", "users", "force", "words"),
    [
        (["a:1"], "a:1", [STOPPED], False, r'reference "a:1" \(must force\) - container ssssssss'),
        (["a:1", "b:1"], None, [], False, "is referenced in multiple repositories"),
        (["a:1", "a:2"], None, [], False, "is referenced in multiple repositories"),
        (["a:1"], None, [RUNS], True, r"\(cannot be forced\) - image is being used by running"),
        (["a:1"], None, [STOPPED], False, r"\(must be forced\) - image is being used by stopped"),
    ],
)
def test_an_image_that_is_needed_is_not_removed(names, name, users, force, words):
    known = [reference(one) for one in names]
    with pytest.raises(Conflict, match=words):
        image_removal.plan(IMAGE, name and reference(name), name, known, users, force=force)


def test_prune_removes_what_has_no_name_and_with_all_what_no_container_uses(tmp_path: Path):
    images = engine_images(tmp_path)
    unnamed, named, used = (
        build(images, f"FROM scratch\nLABEL number={number}", tmp_path) for number in range(3)
    )
    images.tag(named, reference("named"))
    users = [User("c" * 64, used.id, False)]
    report = images.prune(Filters({"label": ["number"]}), users, LONG_AGO)
    assert report["ImagesDeleted"] == [{"Deleted": unnamed.id}]
    every = Filters({"label": ["number"], "dangling": ["false"]})
    assert images.prune(every, users, 0.5)["ImagesDeleted"] is None, "they are younger"
    assert images.prune(every, users, LONG_AGO)["ImagesDeleted"] == [
        {"Untagged": "named:latest"},
        {"Deleted": named.id},
    ]


# Dockerfiles


def test_a_dockerfile_becomes_instructions_with_their_lines() -> None:
    found = dockerfile.parse(
        "# a note\nfrom python AS x\n\nENV A=1 \\\n  # within\n  B=2\n"
        'COPY --chown=me ["a b", "/c/"]\nCMD ["c", "d"]\n'
    )
    assert [(one.line, one.word) for one in found] == [
        (2, "FROM"), (4, "ENV"), (7, "COPY"), (8, "CMD"),
    ]  # fmt: skip
    assert found[1].pairs() == [("A", "1"), ("B", "2")]
    assert (found[2].flags, found[2].arguments()) == ({"chown": "me"}, ["a b", "/c/"])
    assert found[3].strings() == ["c", "d"]


def config_of(text: str, directory: Path, **args: str) -> dict:
    return build(engine_images(directory), f"FROM scratch\n{text}", directory, **args).config


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("ENV A=1 B='x y'", {"Env": ["A=1", "B=x y"]}),
        ("ENV A one two", {"Env": ["A=one two"]}),
        ("ENV A=1\nENV B=2 A=$A$A", {"Env": ["A=11", "B=2"]}),
        ("WORKDIR /app\nWORKDIR sub", {"WorkingDir": "/app/sub"}),
        ("ENV P=81\nEXPOSE 80/udp $P", {"ExposedPorts": {"80/udp": {}, "81/tcp": {}}}),
        ("LABEL k=v 'a b'=\"c $X d\"", {"Labels": {"k": "v", "a b": "c 7 d"}}),
        ("USER me", {"User": "me"}),
        ('ENTRYPOINT ["e"]\nCMD c $X', {"Entrypoint": ["e"], "Cmd": ["/bin/sh", "-c", "c $X"]}),
        ('CMD ["c"]\nENTRYPOINT ["e"]', {"Entrypoint": ["e"], "Cmd": ["c"]}),
    ],
)
def test_instructions_change_the_configuration(text: str, changed: dict, tmp_path: Path) -> None:
    config = config_of(f"ARG X\n{text}", tmp_path, X="7")
    config["Env"] = config["Env"][1:]  # without PATH
    assert {key: config[key] for key in changed} == changed


def test_an_entrypoint_forgets_the_command_of_the_base(tmp_path: Path) -> None:
    images = engine_images(tmp_path)
    base = build(images, 'FROM scratch\nCMD ["c"]', tmp_path)
    images.tag(base, reference("base"))
    assert build(images, 'FROM base\nENTRYPOINT ["e"]', tmp_path).config["Cmd"] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RUN pip install x", "Dockerfile line 2: RUN is not supported: "),
        ("ADD a /", "Dockerfile line 2: ADD is not supported: "),
        ("FROM scratch", "line 2: a second FROM is not supported"),
        ("COPY --from=0 a /", "line 2: COPY is not supported: COPY --from"),
    ],
)
def test_what_cannot_be_done_is_named_with_its_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=words):
        config_of(text, tmp_path)


@pytest.mark.parametrize(
    ("word", "expanded"),
    [
        ("plain", "plain"),
        ("$A-${A}", "1-1"),
        ("'$A'", "$A"),
        ('"$A b"', "1 b"),
        ("\\$A", "$A"),
        ('"\\$A \\x"', "$A \\x"),
        ("${NO:-d$A}", "d1"),
        ("${A:+yes}${NO:+no}", "yes"),
        ("$NO$", "$"),
    ],
)
def test_a_word_loses_its_quotes_and_gets_values(word: str, expanded: str) -> None:
    assert words.expand(word, {"A": "1"}) == expanded


@pytest.mark.parametrize("word", ['"a', "'a", "${A", "${A:?x}", "${}"])
def test_a_word_that_does_not_end_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="failed to process"):
        words.expand(word, {})


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [("*.txt", "a.txt", True), ("*.txt", "d/a.txt", False), ("d/*/?.txt", "d/e/a.txt", True)],
)
def test_a_wildcard_goes_over_no_slash(pattern: str, path: str, fits: bool) -> None:
    assert path_match(pattern, path) is fits


@pytest.mark.parametrize(
    ("text", "ignored"),
    [
        ("", False),
        ("# Dockerfile", False),
        ("Dockerfile", True),
        ("/Dockerfile", True),
        ("*", True),
        ("**", True),
        ("**/Docker*", True),
        ("D[no]ckerfile", True),
        ("Dockerfile?", False),
        ("sub/Dockerfile", False),
        ("*\n!Dockerfile", False),
        ("!Dockerfile\n*", True),
        ("./Dockerfile", True),
    ],
)
def test_a_dockerfile_may_be_ignored(text: str, ignored: bool) -> None:
    assert is_ignored("Dockerfile", text) is ignored


# Trees and contexts


def test_nothing_is_put_anywhere_but_in_the_tree() -> None:
    tree = Tree()
    tree.put("/out", Entry(0o777, target="/outside"))
    tree.put("/up", Entry(0o777, target="../../../../up2"))
    tree.put("/out/file", Entry(0o644, 1, "d"))
    tree.put("/up/file", Entry(0o644, 1, "d"))
    assert {"/outside/file", "/up2/file"} < set(tree.entries)
    assert not {"/out/file", "/up/file"} & set(tree.entries)


def test_a_directory_takes_the_place_of_anything_but_a_directory() -> None:
    tree = Tree({"/a": Entry(0o644, 1, "d"), "/l": Entry(0o777, target="b"), "/b": Entry(0o700)})
    for path in ("/a", "/l", "/b"):
        tree.put(path, Entry(0o750))
    tree.put("/l/x", Entry(0o644, 1, "d"))
    assert set(tree.entries) == {"/a", "/b", "/l", "/l/x"}
    assert tree.entries["/b"].mode == 0o750
    with pytest.raises(TreeError, match="mkdir /l/x: not a directory"):
        tree.make_directory("/l/x/y")


def test_links_in_a_circle_are_found() -> None:
    tree = Tree({"/a": Entry(0o777, target="b"), "/b": Entry(0o777, target="a")})
    with pytest.raises(TreeError, match="too many levels of symbolic links"):
        tree.resolve("/a/x")


@pytest.mark.parametrize("place", ["/etc", "/tmp", "/"])
def test_directories_that_the_engine_writes_to_stay_directories(place: str) -> None:
    with pytest.raises(TreeError, match="cannot overwrite directory"):
        Tree().put(place, Entry(0o777, target="/elsewhere"))


def test_links_of_an_image_lead_to_its_own_files(tmp_path: Path) -> None:
    tree = Tree()
    tree.make_directory("/data/real")
    tree.put("/link", Entry(0o777, target="/data/real"))
    tree.put("/host", Entry(0o777, target="/bin/sh"))
    Image.of(EMPTY_CONFIG, tree, (), 0.0).unpack(tmp_path, Blobs(tmp_path / "blobs"))
    assert (tmp_path / "link").resolve() == tmp_path / "data/real"
    assert (tmp_path / "host").readlink() == Path("/bin/sh")


def archive(*names: str, mode: str = "w", **links: str) -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return file


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_context_is_read_however_it_is_packed(mode: str) -> None:
    context = contexts.from_tar(archive("a", "/d/b", mode=mode))
    assert context.read("d/b") == b"/d/b"
    assert [name for name, _ in context.below("d")] == ["b"]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/../evil"])
def test_a_name_that_leaves_the_context_is_refused(name: str) -> None:
    with pytest.raises(BadParameter, match="a name that leaves it"):
        contexts.from_tar(archive(name))


def test_a_link_that_leaves_the_context_leads_to_nothing() -> None:
    context = contexts.from_tar(archive("a", passwd="/etc/passwd", up="../../a"))
    assert context.read("passwd") is None
    assert context.read("up") == b"a", "`..` ends at the context"
    for source in ("passwd", "pass*"):
        with pytest.raises(contexts.CopyError, match="file not found in build context"):
            context.select(source)
    with pytest.raises(contexts.CopyError, match="forbidden path outside the build context"):
        context.select("../a")


def layered(*layers: bytes, **described: object) -> io.BytesIO:
    """An archive as `docker save` writes it, of an image with these layers."""
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "c.json", "RepoTags": ["app:1"], "Layers": names} | described]
    files = dict(zip(names, layers, strict=True))
    files |= {"c.json": b'{"config": {"Cmd": ["x"], "Env": null}, "created": ""}'}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data in (files | {"manifest.json": json.dumps(manifest).encode()}).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive


def test_layers_are_laid_over_each_other(tmp_path: Path) -> None:
    below = archive("a", "b", "d/x", "d/y", "../out")
    above = archive(".wh.a", "d/.wh..wh..opq", "d/z", "b", link="b")
    file = layered(below.getvalue(), above.getvalue())
    (loaded,) = image_archive.load(file, Blobs(tmp_path))
    assert sorted(loaded.image.files.entries) == ["/b", "/d", "/d/z", "/link", "/out"]
    assert loaded.image.config == {**EMPTY_CONFIG, "Cmd": ["x"]}
    assert [str(name) for name in loaded.names] == ["docker.io/library/app:1"]


@pytest.mark.parametrize(
    "described",
    [{"Config": "nosuch"}, {"Layers": ["nosuch"]}, {"Layers": 1}, {"RepoTags": ["A b"]}],
)
def test_an_archive_that_contradicts_itself_is_refused(described: dict, tmp_path: Path) -> None:
    with pytest.raises(BadParameter):
        list(image_archive.load(layered(archive("a").getvalue(), **described), Blobs(tmp_path)))


def test_a_tree_is_the_same_after_a_visit_to_the_disk() -> None:
    tree = Tree({"/a": Entry(0o755), "/a/b": Entry(0o644, 1, "d"), "/c": Entry(0o777, target="a")})
    image = Image.of(EMPTY_CONFIG, tree, (), 5.0)
    assert Image.load(json.loads(json.dumps(image.dump()))).id == image.id
    assert trees.follow("/c/b", lambda place: tree.entries.get(place, Entry(0)).target) == "/a/b"
