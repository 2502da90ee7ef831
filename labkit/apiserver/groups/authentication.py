"""The group authentication.k8s.io: who a token is, and who the asker is.

Source: k8s.io/kubernetes pkg/registry/authentication.
"""

from __future__ import annotations

from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube.resources import Resource

_GROUP = "authentication.k8s.io"

TOKEN_REVIEWS = Resource(_GROUP, "v1", "tokenreviews", "TokenReview", namespaced=False)
SELF_SUBJECT_REVIEWS = Resource(
    _GROUP, "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False
)

ROWS = (
    row(SELF_SUBJECT_REVIEWS, Strategy(), ephemeral=True),
    row(TOKEN_REVIEWS, Strategy(), ephemeral=True),
)
