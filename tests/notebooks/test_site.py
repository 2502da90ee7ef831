"""The site: it builds without a network, and its pages take nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.notebooks import course

SITE = course.ROOT / "build" / "site"
ALONE = ["unshare", "--map-root-user", "--net"]
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def pages() -> list[Path]:
    """The pages of a fresh build, made where there is no network."""
    _make("build/site/env/.ready")  # what it needs comes over the network, once
    shutil.rmtree(SITE / "html", ignore_errors=True)
    possible = not subprocess.run([*ALONE, "true"], check=False, capture_output=True).returncode
    _make("site", before=ALONE if possible else [])
    return sorted((SITE / "html").rglob("*.html"))


def _make(target: str, before: list[str] | None = None) -> None:
    done = subprocess.run(
        [*(before or []), "make", target], cwd=course.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


class _Page(HTMLParser):
    """What a page loads by itself, what it links to, and the anchors it has."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors.add(given.get("id") or "")
        if target := given.get("src") or (given.get("href") if tag == "link" else None):
            self.loads.append(target)
        elif tag == "a" and given.get("href"):
            self.links.append(given["href"])


def test_every_chapter_and_every_page_of_the_docs_is_there(pages: list[Path]):
    names = {page.relative_to(SITE / "html").with_suffix("").as_posix() for page in pages}
    course_of = course.chapters() + course.chapters("zh")
    chapters = {f"notebooks/{str(chapter).removesuffix('.ipynb')}" for chapter in course_of}
    docs = {f"docs/{page.stem}" for page in (course.ROOT / "docs").glob("*.md")}
    assert chapters | docs | {"index"} <= names


def test_pages_take_nothing_from_elsewhere(pages: list[Path]):
    loads = {target for page in pages for target in _Page(page).loads}
    styles = [style.read_text() for style in (SITE / "html").rglob("*.css")]
    loads |= {target for text in styles for target in re.findall(r"url\(['\"]?([^'\")]+)", text)}
    assert not [target for target in loads if urlsplit(target).netloc]


def test_no_link_within_the_site_is_dead(pages: list[Path]):
    read = {page: _Page(page) for page in pages}
    dead = [(page.name, link) for page in pages for link in _dead(page, read)]
    assert not dead


def _dead(page: Path, read: dict[Path, _Page]) -> Iterator[str]:
    for link in {*read[page].links, *read[page].loads}:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        there = target.exists() and (
            not parts.fragment
            or target not in read
            or unquote(parts.fragment) in read[target].anchors
        )
        if not there:
            yield link


def test_solutions_are_folded_and_terms_lead_to_the_glossary(pages: list[Path]):
    deploy = (SITE / "html" / "notebooks" / "04-deploy.html").read_text()
    assert "Show a solution" in deploy
    assert '<a class="term reference internal" href="../docs/glossary.html#deployment">' in deploy


def test_a_translation_says_its_language_and_leads_to_the_glossary_too(pages: list[Path]):
    deploy = (SITE / "html" / "notebooks" / "zh" / "04-deploy.html").read_text()
    assert '<html class="no-js" lang="zh-CN"' in deploy
    assert "显示答案" in deploy
    assert '<a class="term reference internal" href="../../docs/glossary.html#label">' in deploy
