"""What all kinds share: apimachinery's meta/v1."""

from __future__ import annotations

META = {
    "ObjectMeta": (
        "name generateName namespace selfLink uid resourceVersion generation creationTimestamp "
        "deletionTimestamp deletionGracePeriodSeconds? labels annotations ownerReferences "
        "finalizers - - managedFields"
    ),
    "OwnerReference": "kind - name uid apiVersion controller? blockOwnerDeletion?",
    "ManagedFieldsEntry": ("manager operation apiVersion time - fieldsType fieldsV1 subresource"),
    "LabelSelector": "matchLabels matchExpressions",
    "LabelSelectorRequirement": "key operator values",
    "FieldSelectorRequirement": "key operator values",
    "DeleteOptions": (
        "gracePeriodSeconds? preconditions orphanDependents? propagationPolicy? dryRun "
        "ignoreStoreReadErrorWithClusterBreakingPotential?"
    ),
    "Preconditions": "uid? resourceVersion?",
    "Condition": "type status observedGeneration lastTransitionTime reason message",
}
