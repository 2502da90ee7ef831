"""Promises that the project's files make to each other."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def test_binder_gets_the_same_environment_as_everybody_else():
    # Files in binder/ hide those at the root, so the two must be equal.
    at_root, at_binder = ROOT / "environment.yml", ROOT / "binder" / "environment.yml"
    assert at_binder.read_bytes() == at_root.read_bytes()


def test_the_conda_environment_holds_every_dependency_of_the_package():
    import tomllib

    conda_names = {"kubernetes": "python-kubernetes", "docker": "docker-py"}
    conda_names |= {"matplotlib": "matplotlib-base", "prometheus-client": "prometheus_client"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    flat = [entry for entry in entries if isinstance(entry, str)]
    flat += [text for entry in entries if isinstance(entry, dict) for text in entry["pip"]]
    present = {_name(text) for text in flat}
    for text in project["dependencies"]:
        name = _name(text).lower()
        assert conda_names.get(name, name) in present, text


def _name(requirement: str) -> str:
    for sign in "<>=;! ":
        requirement = requirement.partition(sign)[0]
    return requirement.lower()
