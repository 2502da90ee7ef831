"""The group authorization.k8s.io: questions about who may do what.

Source: k8s.io/kubernetes pkg/registry/authorization.
"""

from __future__ import annotations

from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube.resources import Resource

_GROUP = "authorization.k8s.io"

LOCAL_SUBJECT_ACCESS_REVIEWS = Resource(
    _GROUP, "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview"
)
SELF_SUBJECT_ACCESS_REVIEWS = Resource(
    _GROUP, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
SELF_SUBJECT_RULES_REVIEWS = Resource(
    _GROUP, "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", namespaced=False
)
SUBJECT_ACCESS_REVIEWS = Resource(
    _GROUP, "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)

ROWS = (
    row(LOCAL_SUBJECT_ACCESS_REVIEWS, Strategy(), ephemeral=True),
    row(SELF_SUBJECT_ACCESS_REVIEWS, Strategy(), ephemeral=True),
    row(SELF_SUBJECT_RULES_REVIEWS, Strategy(), ephemeral=True),
    row(SUBJECT_ACCESS_REVIEWS, Strategy(), ephemeral=True),
)
