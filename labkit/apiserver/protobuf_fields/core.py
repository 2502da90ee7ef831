"""The core group but for Pods and volumes."""

from __future__ import annotations

CORE = {
    "LocalObjectReference": "name",
    "VolumeStatus": "image",
    "ImageVolumeStatus": "imageRef",
    "Service": "metadata spec status",
    "ServiceSpec": (
        "ports selector clusterIP type externalIPs - sessionAffinity loadBalancerIP "
        "loadBalancerSourceRanges externalName externalTrafficPolicy healthCheckNodePort "
        "publishNotReadyAddresses sessionAffinityConfig - - ipFamilyPolicy? clusterIPs ipFamilies "
        "allocateLoadBalancerNodePorts? loadBalancerClass? internalTrafficPolicy? "
        "trafficDistribution?"
    ),
    "ServicePort": "name protocol port targetPort nodePort appProtocol?",
    "SessionAffinityConfig": "clientIP",
    "ClientIPConfig": "timeoutSeconds?",
    "ServiceStatus": "loadBalancer conditions",
    "LoadBalancerStatus": "ingress",
    "LoadBalancerIngress": "ip hostname ipMode? ports",
    "PortStatus": "port protocol error?",
    "Endpoints": "metadata subsets",
    "EndpointSubset": "addresses notReadyAddresses ports",
    "EndpointAddress": "ip targetRef hostname nodeName?",
    "ObjectReference": "kind namespace name uid apiVersion resourceVersion fieldPath",
    "EndpointPort": "name port protocol appProtocol?",
    "ConfigMap": "metadata data binaryData immutable?",
    "Secret": "metadata data type stringData immutable?",
    "Namespace": "metadata spec status",
    "NamespaceSpec": "finalizers",
    "NamespaceStatus": "phase conditions",
    "NamespaceCondition": "type status - lastTransitionTime reason message",
    "Node": "metadata spec status",
    "NodeSpec": "podCIDR externalID providerID unschedulable taints configSource podCIDRs -",
    "Taint": "key value effect timeAdded",
    "NodeConfigSource": "- configMap",
    "ConfigMapNodeConfigSource": "namespace name uid resourceVersion kubeletConfigKey",
    "NodeStatus": (
        "capacity allocatable phase conditions addresses daemonEndpoints nodeInfo images "
        "volumesInUse volumesAttached config runtimeHandlers features declaredFeatures"
    ),
    "NodeCondition": "type status lastHeartbeatTime lastTransitionTime reason message",
    "NodeAddress": "type address",
    "NodeDaemonEndpoints": "kubeletEndpoint",
    "DaemonEndpoint": "Port",
    "NodeSystemInfo": (
        "machineID systemUUID bootID kernelVersion osImage containerRuntimeVersion kubeletVersion "
        "kubeProxyVersion operatingSystem architecture swap"
    ),
    "NodeSwapStatus": "capacity?",
    "NodeConfigStatus": "assigned active lastKnownGood error",
    "NodeRuntimeHandler": "name features",
    "NodeRuntimeHandlerFeatures": "recursiveReadOnlyMounts? userNamespaces?",
    "NodeFeatures": "supplementalGroupsPolicy?",
    "Event": (
        "metadata involvedObject reason message source firstTimestamp lastTimestamp count type "
        "eventTime series action related reportingComponent reportingInstance"
    ),
    "EventSource": "component host",
    "EventSeries": "count lastObservedTime",
    "ServiceAccount": "metadata secrets imagePullSecrets automountServiceAccountToken?",
    "ReplicationController": "metadata spec status",
    "ReplicationControllerSpec": "replicas? selector template minReadySeconds",
    "ReplicationControllerStatus": (
        "replicas fullyLabeledReplicas observedGeneration readyReplicas availableReplicas "
        "conditions"
    ),
    "ReplicationControllerCondition": "type status lastTransitionTime reason message",
    "ResourceQuota": "metadata spec status",
    "ResourceQuotaSpec": "hard scopes scopeSelector",
    "ScopeSelector": "matchExpressions",
    "ScopedResourceSelectorRequirement": "scopeName operator values",
    "ResourceQuotaStatus": "hard used",
    "LimitRange": "metadata spec",
    "LimitRangeSpec": "limits",
    "LimitRangeItem": "type max min default defaultRequest maxLimitRequestRatio",
    "SecretReference": "name namespace",
    "Binding": "metadata target",
}
