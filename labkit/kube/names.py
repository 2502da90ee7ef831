"""Names that the control plane makes up, spelled as Kubernetes spells them.

Source: k8s.io/apiserver names.SimpleNameGenerator and k8s.io/apimachinery util/rand: suffixes come
from an alphabet without vowels and look-alikes, so that no generated name is a word.
"""

from __future__ import annotations

import hashlib
import json
import random
import uuid

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_GENERATED_SUFFIX = 5
_MAX_BASE = 63 - _GENERATED_SUFFIX
_SOURCE = random.Random()  # seeded by the system, whatever others do to the shared one


def seed(number: int) -> None:
    """Make names and uids repeatable in this process: for simulations."""
    _SOURCE.seed(number)


def random_suffix(length: int = _GENERATED_SUFFIX, source: random.Random | None = None) -> str:
    """`length` random letters of the safe alphabet; `source` makes it repeatable."""
    return "".join((source or _SOURCE).choices(ALPHABET, k=length))


def generated(prefix: str, source: random.Random | None = None) -> str:
    """The name for a `metadata.generateName`: the prefix, cut to fit 63 letters, and a suffix."""
    return prefix[:_MAX_BASE] + random_suffix(source=source)


def new_uid() -> str:
    """A `metadata.uid`: a random UUID, of which thousands cost no system call."""
    return str(uuid.UUID(int=_SOURCE.getrandbits(128), version=4))


def pod_template_hash(template: dict, collisions: int = 0) -> str:
    """A ten-letter hash of a Pod template, for ReplicaSet names and the pod-template-hash label.

    Kubernetes hashes a Go value with FNV; the letters differ, the role and the alphabet do not.
    `collisions` is the Deployment's `status.collisionCount`.
    """
    text = json.dumps([template, collisions], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:10])
