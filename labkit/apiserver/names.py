"""Rules for names and labels: None if a text obeys, else upstream's sentence about why not.

Source: k8s.io/apimachinery util/validation.
"""

from __future__ import annotations

import re
from functools import lru_cache

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_NAME})?"
_ENV = "[ -<>-~]+"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"


def _rule(pattern: str, limit: int, sentence: str):
    expression = re.compile(pattern)

    @lru_cache(maxsize=8192)
    def check(text: str) -> str | None:
        if len(text) > limit:
            return f"must be no more than {limit} characters"
        return None if expression.fullmatch(text) else sentence

    return check


def _sentence(rule: str, pattern: str, *examples: str) -> str:
    shown = ", or ".join(f" '{example}'" for example in examples).strip()
    return f"{rule} (e.g. {shown}, regex used for validation is '{pattern}')"


_dns_label = _rule(
    _LABEL,
    63,
    _sentence(
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
        "and must start and end with an alphanumeric character",
        _LABEL,
        "my-name",
        "123-abc",
    ),
)
_dns_label_1035 = _rule(
    _LABEL_1035,
    63,
    _sentence(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with "
        "an alphabetic character, and end with an alphanumeric character",
        _LABEL_1035,
        "my-name",
        "abc-123",
    ),
)
_dns_subdomain = _rule(
    _SUBDOMAIN,
    253,
    _sentence(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' "
        "or '.', and must start and end with an alphanumeric character",
        _SUBDOMAIN,
        "example.com",
    ),
)
_wildcard_subdomain = _rule(
    _WILDCARD,
    253,
    _sentence(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, "
        "which must consist of lower case alphanumeric characters, '-' or '.' and end with an "
        "alphanumeric character",
        _WILDCARD,
        "*.example.com",
    ),
)
_label_value = _rule(
    _VALUE,
    63,
    _sentence(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
        "'.', and must start and end with an alphanumeric character",
        _VALUE,
        "MyValue",
        "my_value",
        "12345",
    ),
)
_name_part = _rule(
    _NAME,
    63,
    _sentence(
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and "
        "end with an alphanumeric character",
        _NAME,
        "MyName",
        "my.name",
        "123-abc",
    ),
)
_config_key = _rule(
    _CONFIG_KEY,
    253,
    _sentence(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        _CONFIG_KEY,
        "key.name",
        "KEY_NAME",
        "key-name",
    ),
)
_env_name = _rule(
    _ENV,
    1 << 20,
    "a valid environment variable name must consist only of printable ASCII characters other than "
    "'='",
)


def dns_label(text: str) -> str | None:
    """An RFC 1123 label: names of namespaces, containers, volumes."""
    return _dns_label(text)


def dns_label_1035(text: str) -> str | None:
    """An RFC 1035 label, which starts with a letter: names of Services."""
    return _dns_label_1035(text)


def dns_subdomain(text: str) -> str | None:
    """An RFC 1123 subdomain: names of most objects."""
    return _dns_subdomain(text)


def wildcard_subdomain(text: str) -> str | None:
    """An RFC 1123 subdomain after `*.`: hosts of Ingresses."""
    return _wildcard_subdomain(text)


def label_value(text: str) -> str | None:
    """The value of a label."""
    return _label_value(text)


def config_key(text: str) -> str | None:
    """A key of a ConfigMap or Secret."""
    if text in (".", ".."):
        return f"must not be '{text}'"
    if text.startswith(".."):
        return "must not start with '..'"
    return _config_key(text)


def env_name(text: str) -> str | None:
    """The name of an environment variable."""
    return _env_name(text)


@lru_cache(maxsize=8192)
def qualified_name(text: str) -> str | None:
    """The key of a label or annotation: a name, maybe after a domain and a slash."""
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        return (
            "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or "
            f"'123-abc', regex used for validation is '{_NAME}') with an optional DNS subdomain "
            "prefix and '/' (e.g. 'example.com/MyName')"
        )
    if slash and not prefix:
        return "prefix part must be non-empty"
    if slash and (wrong := _dns_subdomain(prefix)):
        return f"prefix part {wrong}"
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 characters"
    return _name_part(name)


_PORT_NAME = re.compile("[-a-z0-9]+")


def port_name(text: str) -> str | None:
    """The name of a port (IANA_SVC_NAME): 15 characters, one of them a letter."""
    if len(text) > 15:
        return "must be no more than 15 characters"
    if not _PORT_NAME.fullmatch(text):
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", text):
        return "must contain at least one letter (a-z)"
    if "--" in text:
        return "must not contain consecutive hyphens"
    if text[0] == "-" or text[-1] == "-":
        return "must not begin or end with a hyphen"
    return None


def path_segment(text: str) -> str | None:
    """A name that only has to fit into a URL's path: names of APIServices and RBAC objects."""
    if text in (".", ".."):
        return f"may not be '{text}'"
    for bad in ("/", "%"):
        if bad in text:
            return f"may not contain '{bad}'"
    return None
