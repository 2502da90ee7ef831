"""The cluster itself: networks, storage, classes, identities, rights, events."""

from __future__ import annotations

NETWORKING = {
    "Ingress": "metadata spec status",
    "IngressSpec": "defaultBackend tls rules ingressClassName?",
    "IngressBackend": "- - resource service",
    "IngressServiceBackend": "name port",
    "ServiceBackendPort": "name number",
    "IngressTLS": "hosts secretName",
    "IngressRule": "host *IngressRuleValue",
    "HTTPIngressRuleValue": "paths",
    "HTTPIngressPath": "path backend pathType?",
    "IngressStatus": "loadBalancer",
    "IngressLoadBalancerStatus": "ingress",
    "IngressLoadBalancerIngress": "ip hostname - ports",
    "IngressPortStatus": "port protocol error?",
    "IngressClass": "metadata spec",
    "IngressClassSpec": "controller parameters",
    "IngressClassParametersReference": "apiGroup? kind name scope? namespace?",
    "NetworkPolicy": "metadata spec",
    "NetworkPolicySpec": "podSelector ingress egress policyTypes",
    "NetworkPolicyIngressRule": "ports from",
    "NetworkPolicyPort": "protocol? port? endPort?",
    "NetworkPolicyPeer": "podSelector namespaceSelector ipBlock",
    "IPBlock": "cidr except",
    "NetworkPolicyEgressRule": "ports to",
}

STORAGE = {
    "StorageClass": (
        "metadata provisioner parameters reclaimPolicy? mountOptions allowVolumeExpansion? "
        "volumeBindingMode? allowedTopologies"
    ),
    "CSIDriver": "metadata spec",
    "CSIDriverSpec": (
        "attachRequired? podInfoOnMount? volumeLifecycleModes storageCapacity? fsGroupPolicy? "
        "tokenRequests requiresRepublish? seLinuxMount? nodeAllocatableUpdatePeriodSeconds? "
        "serviceAccountTokenInSecrets? preventPodSchedulingIfMissing?"
    ),
    "TokenRequest": "audience expirationSeconds?",
    "CSINode": "metadata spec -",
    "CSINodeSpec": "drivers",
    "CSINodeDriver": "name nodeID topologyKeys allocatable",
    "VolumeNodeResources": "count?",
    "CSIStorageCapacity": "metadata nodeTopology storageClassName capacity maximumVolumeSize",
    "VolumeAttachment": "metadata spec status",
    "VolumeAttachmentSpec": "attacher source nodeName",
    "VolumeAttachmentSource": "persistentVolumeName? inlineVolumeSpec",
    "VolumeAttachmentStatus": "attached attachmentMetadata attachError detachError",
    "VolumeError": "time message errorCode?",
}

SCHEDULING = {
    "PriorityClass": "metadata value globalDefault description preemptionPolicy?",
}

NODE = {
    "RuntimeClass": "metadata handler overhead scheduling",
    "Overhead": "podFixed",
    "Scheduling": "nodeSelector tolerations",
}

DISCOVERY = {
    "EndpointSlice": "metadata endpoints ports addressType",
    "Endpoint": "addresses conditions hostname? targetRef deprecatedTopology nodeName? zone? hints",
    "EndpointConditions": "ready? serving? terminating?",
    "EndpointHints": "forZones forNodes",
    "ForZone": "name",
    "ForNode": "name",
    "EndpointPort": "name? protocol? port? appProtocol?",
}

COORDINATION = {
    "Lease": "metadata spec",
    "LeaseSpec": (
        "holderIdentity? leaseDurationSeconds? acquireTime renewTime leaseTransitions? strategy? "
        "preferredHolder?"
    ),
}

EVENTS = {
    "Event": (
        "metadata eventTime series reportingController reportingInstance action reason regarding "
        "related note type deprecatedSource deprecatedFirstTimestamp deprecatedLastTimestamp "
        "deprecatedCount"
    ),
    "EventSeries": "count lastObservedTime",
}

RBAC = {
    "Role": "metadata rules",
    "PolicyRule": "verbs apiGroups resources resourceNames nonResourceURLs",
    "ClusterRole": "metadata rules aggregationRule",
    "AggregationRule": "clusterRoleSelectors",
    "RoleBinding": "metadata subjects roleRef",
    "Subject": "kind apiGroup name namespace",
    "RoleRef": "apiGroup kind name",
    "ClusterRoleBinding": "metadata subjects roleRef",
}

AUTHENTICATION = {
    "TokenReview": "metadata spec status",
    "TokenReviewSpec": "token audiences",
    "TokenReviewStatus": "authenticated user error audiences",
    "UserInfo": "username uid groups extra",
    "TokenRequest": "metadata spec status",
    "TokenRequestSpec": "audiences - boundObjectRef expirationSeconds? -",
    "BoundObjectReference": "kind apiVersion name uid",
    "TokenRequestStatus": "token expirationTimestamp",
    "SelfSubjectReview": "metadata status",
    "SelfSubjectReviewStatus": "userInfo",
}

AUTHORIZATION = {
    "SubjectAccessReview": "metadata spec status",
    "SubjectAccessReviewSpec": "resourceAttributes nonResourceAttributes user groups extra uid",
    "ResourceAttributes": (
        "namespace verb group version resource subresource name fieldSelector labelSelector"
    ),
    "FieldSelectorAttributes": "rawSelector requirements",
    "LabelSelectorAttributes": "rawSelector requirements",
    "NonResourceAttributes": "path verb",
    "SubjectAccessReviewStatus": "allowed reason evaluationError denied",
    "SelfSubjectAccessReview": "metadata spec status",
    "SelfSubjectAccessReviewSpec": "resourceAttributes nonResourceAttributes",
    "LocalSubjectAccessReview": "metadata spec status",
    "SelfSubjectRulesReview": "metadata spec status",
    "SelfSubjectRulesReviewSpec": "namespace",
    "SubjectRulesReviewStatus": "resourceRules nonResourceRules incomplete evaluationError",
    "ResourceRule": "verbs apiGroups resources resourceNames",
    "NonResourceRule": "verbs nonResourceURLs",
}
