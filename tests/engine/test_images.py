"""Images from build to removal, by the docker SDK against both engines."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator

import docker
import pytest
from docker.errors import APIError, BuildError, ImageNotFound
from docker.models.images import Image

from tests.engine.conftest import LABEL, Lab

FILES = {"a.txt": "A", "d/x.txt": "X", "d/e/y.txt": "Y", "run.sh": "#!/bin/sh\necho run $WHO\n"}


def packed(files: dict[str, str], links: dict[str, str] | None = None) -> io.BytesIO:
    """The context that a client sends; what ends in .sh is a program."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o755 if name.endswith(".sh") else 0o644
            tar.addfile(info, io.BytesIO(text.encode()))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    stream.seek(0)
    return stream


Build = Callable[..., Image]


@pytest.fixture
def build(lab: Lab) -> Iterator[Build]:
    """Builds a Dockerfile over FILES; what it made is removed afterwards."""
    mine = f"{LABEL}={lab.prefix}"

    def run(text: str, *, links: dict[str, str] | None = None, **options) -> Image:
        labels = {LABEL: lab.prefix, **options.pop("labels", {})}
        files = {"Dockerfile": text.replace("BASE", lab.image), **FILES}
        image, run.log = lab.client.images.build(
            fileobj=packed(files, links),
            custom_context=True,
            labels=labels,
            rm=True,
            forcerm=True,
            **options,
        )
        made.append(image.id)
        return image

    made: list[str] = []
    yield run
    lab.clean()
    left = {image.id for image in lab.client.images.list(filters={"label": mine})}
    # An image cannot go before those that were built from it.
    for image in sorted(left, key=lambda image: -made.index(image) if image in made else -1e9):
        lab.client.images.remove(image, force=True)
    lab.client.images.prune(filters={"dangling": True, "label": mine})


def output(lab: Lab, image: Image, command: str | None = None, **options) -> str:
    """What a container of the image writes."""
    words = None if command is None else ["sh", "-c", command]
    labels = {LABEL: lab.prefix}
    container = lab.client.containers.create(image.id, words, labels=labels, **options)
    container.start()
    container.wait(timeout=20)
    return container.logs().decode()


def said(build: Build) -> str:
    return "".join(item.get("stream", "") for item in build.log)


# Building


def test_a_build_tells_its_steps_and_gives_its_image(lab: Lab, build: Build) -> None:
    name = f"{lab.prefix}:v1"
    image = build("FROM BASE\nCOPY a.txt /\n# note\nENV A=1 \\\n  B=2\n", tag=name)
    build.log = list(build.log)
    text = said(build)
    assert text.startswith(f"Step 1/4 : FROM {lab.image}\n ---> ")
    assert "Step 2/4 : COPY a.txt /\n" in text
    assert "Step 3/4 : ENV A=1   B=2\n" in text
    assert f"Successfully built {image.id[7:19]}\nSuccessfully tagged {name}\n" in text
    assert [item["aux"]["ID"] for item in build.log if "aux" in item] == [image.id]
    assert image.tags == [name]


def test_the_same_build_gives_the_same_image(build: Build) -> None:
    first, second = (build("FROM BASE\nCOPY d /d/\nENV A=1") for _ in range(2))
    assert first.id == second.id
    assert build("FROM BASE\nCOPY d /d/\nENV A=2").id != first.id


def test_containers_find_what_was_copied(lab: Lab, build: Build) -> None:
    image = build(
        "FROM BASE\nWORKDIR /app\nCOPY a.txt run.sh ./\nCOPY d sub\nCOPY d/*/*.txt wild/\n"
        "COPY a.txt new/name.txt\n"
    )
    shown = output(lab, image, "cat a.txt sub/x.txt sub/e/y.txt wild/y.txt new/name.txt; ./run.sh")
    assert shown == "AXYYArun\n"


def test_the_configuration_is_the_dockerfiles(lab: Lab, build: Build) -> None:
    image = build(
        "ARG TAG=latest\nFROM BASE:$TAG\nARG WHO=nobody\nENV WHO=$WHO\nEXPOSE 80 81/udp\n"
        'USER 1000\nLABEL team="a b"\nWORKDIR /app\nCOPY run.sh .\nENTRYPOINT ["/app/run.sh"]\n',
        buildargs={"WHO": "me", "OTHER": "x"},
    )
    config = lab.api.inspect_image(image.id)["Config"]
    assert "WHO=me" in config["Env"]
    assert config["ExposedPorts"] == {"80/tcp": {}, "81/udp": {}}
    assert (config["User"], config["WorkingDir"]) == ("1000", "/app")
    assert (config["Entrypoint"], config["Cmd"]) == (["/app/run.sh"], None)
    assert image.labels["team"] == "a b"
    assert "[Warning] One or more build-args [OTHER] were not consumed" in said(build)


def test_the_shell_form_of_a_command_is_run_by_a_shell(lab: Lab, build: Build) -> None:
    image = build("FROM BASE\nENV WHO=you\nCMD echo hello $WHO")
    assert output(lab, image) == "hello you\n"


def test_a_command_may_name_files_of_its_image_by_their_path(lab: Lab, build: Build) -> None:
    image = build('FROM BASE\nCOPY run.sh a.txt /app/\nCMD ["sh", "/app/run.sh"]\nENV WHO=it')
    assert output(lab, image) == "run it\n"


def test_an_image_is_built_from_one_that_was_built(lab: Lab, build: Build) -> None:
    name = f"{lab.prefix}:base"
    build("FROM BASE\nCOPY a.txt /base.txt\nENV A=1", tag=name)
    image = build(f"FROM {name}\nCOPY d/x.txt /own.txt\nENV B=2")
    shown = output(lab, image, "cat base.txt own.txt; echo $A$B", working_dir="/")
    assert shown == "AX12\n"


def test_scratch_is_an_image_without_files(lab: Lab, build: Build) -> None:
    image = build("FROM scratch\nCOPY a.txt d/x.txt /files/\n")
    seen = lab.api.inspect_image(image.id)
    assert (seen["Size"], seen["Config"]["Cmd"]) == (2, None)
    assert (seen["Os"], seen["RootFS"]["Type"]) == ("linux", "layers")


def test_links_are_copied_as_links_and_followed_as_sources(lab: Lab, build: Build) -> None:
    links = {"to-a": "a.txt", "l/up": "../a.txt", "l/own": "here.txt"}
    image = build(
        "FROM BASE\nWORKDIR /w\nCOPY to-a ./\nCOPY l ./\nCOPY a.txt here.txt", links=links
    )
    assert (
        output(lab, image, "cat to-a own; test -L own && test ! -L to-a && echo link") == "AAlink\n"
    )


def test_a_context_may_be_packed(lab: Lab, build: Build) -> None:
    files = {"Dockerfile": f"FROM scratch\nLABEL {LABEL}={lab.prefix}\nCOPY a.txt /", **FILES}
    stream = io.BytesIO(gzip.compress(packed(files).read()))
    image, _ = lab.client.images.build(
        fileobj=stream, custom_context=True, encoding="gzip", rm=True
    )
    assert image.attrs["Size"] == 1


def test_an_ignored_dockerfile_is_not_copied(lab: Lab, build: Build) -> None:
    files = {
        "Dockerfile": f"FROM {lab.image}\nLABEL {LABEL}={lab.prefix}\nCOPY . /all/",
        ".dockerignore": "Dockerfile\n.dockerignore",
        "a.txt": "A",
    }
    image, _ = lab.client.images.build(fileobj=packed(files), custom_context=True, rm=True)
    assert output(lab, image, "ls -A all || ls -A /all", working_dir="/") == "a.txt\n"


def test_another_dockerfile_can_be_named(lab: Lab, build: Build) -> None:
    files = {"d/Other": f"FROM scratch\nLABEL {LABEL}={lab.prefix} other=yes", **FILES}
    options = {"custom_context": True, "dockerfile": "d/Other", "rm": True}
    image, _ = lab.client.images.build(fileobj=packed(files), **options)
    assert image.labels["other"] == "yes"
    del files["d/Other"]
    with pytest.raises(APIError, match="Cannot locate specified Dockerfile: d/Other"):
        lab.client.images.build(fileobj=packed(files), **options)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            "COPY nosuch /",
            "COPY failed: file not found in build context or excluded by .dockerignore: "
            "stat nosuch: file does not exist",
        ),
        ("COPY nosuch* /", "COPY failed: no source files were specified"),
        ("COPY ../a /", "COPY failed: forbidden path outside the build context: ../a ()"),
        ("COPY http://a/b /", "COPY failed: source can't be a URL for COPY"),
        (
            "COPY a.txt d /x",
            "When using COPY with more than one source file, the destination must be a directory "
            "and end with a /",
        ),
        ("EXPOSE abc", "Invalid containerPort: abc"),
    ],
    ids=["missing", "wildcard", "outside", "url", "several", "port"],
)
def test_a_step_that_fails_ends_the_build_with_dockers_words(build: Build, step, words) -> None:
    with pytest.raises(BuildError) as caught:
        build(f"FROM scratch\n{step}")
    assert caught.value.msg == words
    log = list(caught.value.build_log)
    assert {"stream": f"Step 2/3 : {step}"} in log


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the Dockerfile (Dockerfile) cannot be empty"),
        ("# nothing", "failed to parse Dockerfile: file with no instructions"),
        ("COPY a.txt /", "no build stage in current context"),
        ("FROM scratch\n\nFOO x", "dockerfile parse error line 3: unknown instruction: FOO"),
        ("FROM scratch\nCOPY --foo=1 a /", "dockerfile parse error line 2: Unknown flag: foo"),
        (
            "FROM scratch\nCOPY a",
            "dockerfile parse error line 2: COPY requires at least two arguments, but only one was "
            "provided. Destination could not be determined",
        ),
        ("FROM scratch\nENV A", "failed to parse Dockerfile: ENV must have two arguments"),
        (
            "FROM scratch\nENV A=1 B",
            'failed to parse Dockerfile: Syntax error - can\'t find = in "B". '
            "Must be of the form: name=value",
        ),
        ("FROM a b", "dockerfile parse error line 1: FROM requires either one or three arguments"),
    ],
)
def test_a_dockerfile_that_cannot_be_read_is_refused_before_the_first_step(build, text, words):
    with pytest.raises(APIError) as caught:
        build(text)
    assert (caught.value.status_code, caught.value.explanation) == (400, words)


# Names


def test_a_tag_is_one_more_name_until_it_is_removed(lab: Lab, build: Build) -> None:
    image = build("FROM BASE\nENV A=1", tag=f"{lab.prefix}:1")
    assert image.tag(f"localhost/{lab.prefix}", "2")
    image.reload()
    assert sorted(image.tags) == [f"{lab.prefix}:1", f"localhost/{lab.prefix}:2"]
    lab.client.images.remove(f"{lab.prefix}:1")
    image.reload()
    assert image.tags == [f"localhost/{lab.prefix}:2"]
    lab.client.images.remove(f"localhost/{lab.prefix}:2")
    with pytest.raises(ImageNotFound):
        lab.client.images.get(image.id)


def test_a_name_follows_the_latest_build_and_the_one_before_dangles(lab: Lab, build: Build) -> None:
    name = f"{lab.prefix}:latest"
    old, new = build("FROM BASE\nENV A=1", tag=name), build("FROM BASE\nENV A=2", tag=name)
    assert lab.client.images.get(name).id == new.id
    own = f"{LABEL}={lab.prefix}"
    dangling = lab.client.images.list(filters={"label": own, "dangling": True})
    assert [image.id for image in dangling] == [old.id]
    assert new.id in {i.id for i in lab.client.images.list(filters={"dangling": False})}
    report = lab.client.images.prune(filters={"dangling": True, "label": own})
    assert {"Deleted": old.id} in report["ImagesDeleted"]
    assert lab.client.images.get(name).id == new.id


def refused(call, *arguments, **options) -> tuple[int, str]:
    with pytest.raises(APIError) as caught:
        call(*arguments, **options)
    return caught.value.status_code, caught.value.explanation


def test_an_image_in_use_loses_names_but_not_the_last_one(lab: Lab, build: Build) -> None:
    one, two = f"{lab.prefix}:1", f"{lab.prefix}:2"
    image = build("FROM BASE\nENV A=1", tag=one)
    image.tag(lab.prefix, "2")
    labels = {LABEL: lab.prefix}
    container = lab.client.containers.run(
        one, ["sh", "-c", "while :; do sleep 1; done"], detach=True, labels=labels
    )
    short, user = image.id[7:19], container.id[:12]
    lab.client.images.remove(two)
    assert refused(lab.client.images.remove, one) == (
        409,
        f'conflict: unable to remove repository reference "{one}" (must force) - container {user} '
        f"is using its referenced image {short}",
    )
    status, words = refused(lab.client.images.remove, image.id, force=True)
    assert (status, words) == (
        409,
        f"conflict: unable to delete {short} (cannot be forced) - image is being used by running "
        f"container {user}",
    )
    lab.client.images.remove(one, force=True)
    assert lab.client.images.get(image.id).tags == [], "it stays while it is used"
    assert refused(lab.client.images.get, one)[0] == 404


def test_an_id_with_several_names_is_removed_by_force_only(lab: Lab, build: Build) -> None:
    image = build("FROM BASE\nENV A=1", tag=f"{lab.prefix}:1")
    image.tag(lab.prefix, "2")
    assert refused(lab.client.images.remove, image.id) == (
        409,
        f"conflict: unable to delete {image.id[7:19]} (must be forced) - "
        "image is referenced in multiple repositories",
    )
    lab.client.images.remove(image.id, force=True)
    with pytest.raises(ImageNotFound):
        lab.client.images.get(f"{lab.prefix}:2")


def test_images_are_filtered_by_name_label_and_age(lab: Lab, build: Build) -> None:
    first = build("FROM BASE\nENV A=1", tag=f"{lab.prefix}/one:x", labels={"n": "1"})
    second = build("FROM BASE\nENV A=2", tag=f"{lab.prefix}/two:y", labels={"n": "2"})

    def listed(**filters) -> set[str]:
        return {image.id for image in lab.client.images.list(filters=filters)}

    assert listed(reference=f"{lab.prefix}/*") == {first.id, second.id}
    assert listed(reference=f"{lab.prefix}/*:x") == {first.id}
    assert listed(label=[f"{LABEL}={lab.prefix}", "n=2"]) == {second.id}
    assert second.id in listed(since=first.id)
    assert first.id not in listed(since=second.id)


def test_the_history_tells_the_steps_backwards(lab: Lab, build: Build) -> None:
    image = build("FROM BASE\nCOPY a.txt /\nENV A=1", tag=f"{lab.prefix}:1")
    (label, env, copy, *_) = image.history()
    assert (label["Id"], label["Tags"]) == (image.id, [f"{lab.prefix}:1"])
    assert env["CreatedBy"].endswith("#(nop)  ENV A=1")
    assert " COPY file:" in copy["CreatedBy"]
    assert copy["Size"] == 1


def test_events_tell_of_tags_and_removals(lab: Lab, build: Build) -> None:
    image = build("FROM BASE\nENV A=1", tag=f"{lab.prefix}:1")
    lab.client.images.remove(f"{lab.prefix}:1")
    seen = lab.client.events(decode=True, since=1, until=2**31, filters={"image": image.id})
    actions = []
    for event in seen:
        actions.append(event["Action"])
        if actions[-1] == "delete":
            break
    assert actions == ["tag", "untag", "delete"]


# Archives


def test_a_saved_image_is_loaded_with_its_name_files_and_configuration(lab: Lab, build: Build):
    name = f"{lab.prefix}:1"
    image = build('FROM BASE\nCOPY run.sh d /app/\nCMD ["sh", "/app/run.sh"]\nENV WHO=it', tag=name)
    archive = b"".join(lab.client.images.get(name).save(named=True))
    lab.client.images.remove(name)
    with pytest.raises(ImageNotFound):
        lab.client.images.get(image.id)
    (loaded,) = lab.client.images.load(archive)
    assert (loaded.id, loaded.tags) == (image.id, [name])
    assert output(lab, loaded) == "run it\n"


def test_an_archive_of_the_lab_is_loaded_by_any_docker(lab: Lab, build: Build, embedded: Lab):
    files = {
        "Dockerfile": f"FROM scratch\nLABEL {LABEL}={lab.prefix}\nCOPY d /d/\nENV A=1",
        **FILES,
    }
    made, _ = embedded.client.images.build(
        fileobj=packed(files, {"d/l": "x.txt"}), custom_context=True
    )
    archive = b"".join(made.save())
    (loaded,) = lab.client.images.load(archive)
    assert loaded.attrs["Config"]["Env"][-1] == "A=1"
    assert loaded.tags == []
    ours = embedded.client.images.load(b"".join(loaded.save()))[0]
    assert ours.id == made.id, "there and back it is the same"
    embedded.client.images.remove(made.id)


def test_what_is_no_archive_is_refused(embedded: Lab) -> None:
    for data, words in ((b"x" * 600, "no tar archive"), (packed({}).read(), "no manifest.json")):
        with pytest.raises(APIError, match=words):
            embedded.client.images.load(data)


def test_a_context_that_leaves_its_directory_writes_nothing(embedded: Lab) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY . /", "../../evil": "x"}
    with pytest.raises(APIError, match="has a name that leaves it"):
        embedded.client.images.build(fileobj=packed(files), custom_context=True)


def test_an_instruction_that_is_not_supported_is_named_with_its_line(embedded: Lab) -> None:
    files = {"Dockerfile": "FROM busybox\n\nRUN pip install flask\n"}
    with pytest.raises(BuildError, match="Dockerfile line 3: RUN is not supported: "):
        embedded.client.images.build(fileobj=packed(files), custom_context=True)


def test_buildkit_is_refused_with_what_to_type(embedded: Lab) -> None:
    reply = embedded.api._post(embedded.api._url("/build"), params={"version": "2"})
    assert reply.status_code == 400
    assert "DOCKER_BUILDKIT=0 docker build" in reply.json()["message"]


def test_a_pushed_image_can_be_pulled_again(embedded: Lab) -> None:
    client = embedded.client
    files = {"Dockerfile": "FROM busybox\nENV A=1"}
    image, _ = client.images.build(fileobj=packed(files), custom_context=True, tag="r.io/me/app:1")
    with pytest.raises(docker.errors.NotFound, match="pull access denied for"):
        client.images.pull("r.io/me/app:1")
    assert "r.io/me/app" in client.images.push("r.io/me/app", "1")
    client.images.remove("r.io/me/app:1")
    assert client.images.pull("r.io/me/app", "1").id == image.id
    client.images.remove("r.io/me/app:1")
