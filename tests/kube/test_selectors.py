"""Label and field selectors, against the examples of Kubernetes' documentation."""

from __future__ import annotations

import pytest

from labkit.kube import selectors

LABELS = {"environment": "production", "tier": "frontend", "release": "7"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("environment=production", True),
        ("environment==production", True),
        ("environment = production", True),
        ("environment=test", False),
        ("tier!=frontend", False),
        ("partition!=customerA", True),
        ("environment in (production, qa)", True),
        ("tier notin (frontend, backend)", False),
        ("partition notin (customerA)", True),
        ("partition in (customerA)", False),
        ("tier", True),
        ("!tier", False),
        ("partition", False),
        ("!partition", True),
        ("environment in (production),tier in (frontend)", True),
        ("environment=production,tier!=frontend", False),
        ("release>6", True),
        ("release<7", False),
        ("tier>3", False),
        ("empty=", False),
    ],
)
def test_a_label_selector_matches_as_documented(text: str, expected: bool):
    assert selectors.matches(selectors.parse(text), LABELS) is expected


@pytest.mark.parametrize("text", ["a in b", "=x", "a=b c", "a in (b", "a b", "!"])
def test_what_is_no_selector_is_refused_with_its_part(text: str):
    with pytest.raises(ValueError, match="unable to parse requirement"):
        selectors.parse(text)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"tier": "frontend"}}, True),
        ({"matchLabels": {"tier": "backend"}}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["frontend"]}]}, True),
        ({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["y"]}]}, True),
    ],
)
def test_a_label_selector_object_matches(selector: dict | None, expected: bool):
    assert selectors.matches(selectors.from_label_selector(selector), LABELS) is expected


@pytest.mark.parametrize(
    "text", ["a=b", "a!=b", "a in (b,c)", "a notin (b,c)", "a", "!a", "a=b,!c", "a>3", "a<3"]
)
def test_formatting_and_parsing_are_inverse(text: str):
    assert selectors.format_selector(selectors.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metadata.name=web", True),
        ("metadata.name==web,status.phase!=Running", True),
        ("status.phase=Running", False),
        ("spec.nodeName=", True),
        ("spec.unschedulable=true", True),
    ],
)
def test_a_field_selector_matches(text: str, expected: bool):
    pod = {
        "metadata": {"name": "web"},
        "spec": {"unschedulable": True},
        "status": {"phase": "Pending"},
    }
    assert selectors.match_fields(selectors.parse_fields(text), pod) is expected
