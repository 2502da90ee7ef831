"""Mirrors of images: which names are tried for what a Pod asks for."""

import pytest

from labkit.kubelet import mirrors

SHA = "@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "given", "names"),
    [
        ("nginx:1.27", ["docker.io/library/nginx=todolist"], ["todolist:1.27", "todolist:latest"]),
        ("nginx", ["docker.io/library/nginx=todolist"], ["todolist:latest"]),
        ("nginx:1.27", ["nginx=todolist:v1"], ["todolist:v1"]),
        ("docker.io/library/nginx:1", ["nginx=app"], ["app:1", "app:latest"]),
        ("nginx" + SHA, ["nginx=app"], ["app:latest"]),
        ("nginx:1" + SHA, ["nginx=app"], ["app:1", "app:latest"]),
        ("nginx:1", ["nginx:1=app:a", "nginx=app:b"], ["app:a"]),
        ("nginx:2", ["nginx:1=app:a", "nginx=app:b"], ["app:b"]),
        ("r.io/team/app:2", ["r.io/team=docker.io/library"], ["docker.io/library/app:2"]),
        ("r.io/team/app:2", ["r.io=localhost:5000/m"], ["localhost:5000/m/team/app:2"]),
        ("r.io/team/app:2", ["r.io/team/app=x", "r.io=y"], ["x:2", "x:latest"]),
        ("r.io:5000/app:2", ["r.io:5000/app=x"], ["x:2", "x:latest"]),
        ("bitnami/redis:7", ["docker.io/bitnami=docker.io/legacy"], ["docker.io/legacy/redis:7"]),
        ("redis", ["docker.io=r.io"], ["r.io/library/redis:latest"]),
    ],
)
def test_the_longest_prefix_says_where_an_image_is(image: str, given: list, names: list):
    found = mirrors.chosen(image, [mirrors.parse(text) for text in given])
    assert found[1] == names


@pytest.mark.parametrize(
    ("image", "given"),
    [
        ("nginx-extra:1", "nginx=app"),
        ("r.io/teammate/app", "r.io/team=x"),
        ("me/nginx", "nginx=app"),
        ("nginx:12", "nginx:1=app"),
    ],
)
def test_a_prefix_ends_where_a_part_of_the_name_does(image: str, given: str):
    assert mirrors.chosen(image, [mirrors.parse(given)]) is None


@pytest.mark.parametrize("text", ["nginx", "=todolist", "nginx=", "Nginx Web=x", "nginx=a b"])
def test_what_is_no_mirror_is_refused(text: str):
    with pytest.raises(ValueError, match=r"FROM=TO|is no name"):
        mirrors.parse(text)
