"""The order of fields on the wire: for each message, its fields' names by number, from 1 on.

`-` is a number that is not used (or not read here), `?` marks an optional scalar, whose zero value
means something, `*Name` a message whose fields JSON shows as its parent's own.  Messages that are
not listed are not read.

Source: the protobuf tags of Kubernetes' API types.
"""

from __future__ import annotations

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_CORE = "io.k8s.api.core.v1"
_APPS = "io.k8s.api.apps.v1"
_SCALING_1, _SCALING_2 = "io.k8s.api.autoscaling.v1", "io.k8s.api.autoscaling.v2"

FIELDS: dict[str, str] = {
    # -- meta
    f"{_META}.ObjectMeta": "name generateName namespace selfLink uid resourceVersion generation "
    "creationTimestamp deletionTimestamp deletionGracePeriodSeconds? labels annotations "
    "ownerReferences finalizers - - managedFields",
    f"{_META}.OwnerReference": "kind - name uid apiVersion controller? blockOwnerDeletion?",
    f"{_META}.ManagedFieldsEntry": "manager operation apiVersion time - fieldsType fieldsV1 "
    "subresource",
    f"{_META}.LabelSelector": "matchLabels matchExpressions",
    f"{_META}.LabelSelectorRequirement": "key operator values",
    f"{_META}.DeleteOptions": "gracePeriodSeconds? preconditions orphanDependents? "
    "propagationPolicy? dryRun ignoreStoreReadErrorWithClusterBreakingPotential?",
    f"{_META}.Preconditions": "uid? resourceVersion?",
    f"{_META}.Condition": "type status observedGeneration lastTransitionTime reason message",
    # -- core: what is small
    f"{_CORE}.ConfigMap": "metadata data binaryData immutable?",
    f"{_CORE}.Secret": "metadata data type stringData immutable?",
    f"{_CORE}.Namespace": "metadata spec status",
    f"{_CORE}.NamespaceSpec": "finalizers",
    f"{_CORE}.NamespaceStatus": "phase conditions",
    f"{_CORE}.ServiceAccount": "metadata secrets imagePullSecrets automountServiceAccountToken?",
    f"{_CORE}.LocalObjectReference": "name",
    f"{_CORE}.ObjectReference": "kind namespace name uid apiVersion resourceVersion fieldPath",
    f"{_CORE}.Binding": "metadata target",
    f"{_CORE}.Event": "metadata involvedObject reason message source firstTimestamp lastTimestamp "
    "count type eventTime series action related reportingComponent reportingInstance",
    f"{_CORE}.EventSource": "component host",
    f"{_CORE}.EventSeries": "count lastObservedTime",
    # -- core: Services
    f"{_CORE}.Service": "metadata spec status",
    f"{_CORE}.ServiceSpec": "ports selector clusterIP type externalIPs - sessionAffinity "
    "loadBalancerIP loadBalancerSourceRanges externalName externalTrafficPolicy "
    "healthCheckNodePort publishNotReadyAddresses sessionAffinityConfig - - "
    "ipFamilyPolicy? clusterIPs ipFamilies allocateLoadBalancerNodePorts? loadBalancerClass? "
    "internalTrafficPolicy? trafficDistribution?",
    f"{_CORE}.ServicePort": "name protocol port targetPort nodePort appProtocol?",
    f"{_CORE}.ServiceStatus": "loadBalancer conditions",
    f"{_CORE}.LoadBalancerStatus": "ingress",
    f"{_CORE}.LoadBalancerIngress": "ip hostname ipMode? ports",
    f"{_CORE}.SessionAffinityConfig": "clientIP",
    f"{_CORE}.ClientIPConfig": "timeoutSeconds?",
    # -- core: Pods
    f"{_CORE}.Pod": "metadata spec status",
    f"{_CORE}.PodTemplateSpec": "metadata spec",
    f"{_CORE}.PodSpec": "volumes containers restartPolicy terminationGracePeriodSeconds? "
    "activeDeadlineSeconds? dnsPolicy nodeSelector serviceAccountName serviceAccount nodeName "
    "hostNetwork hostPID hostIPC securityContext imagePullSecrets hostname subdomain affinity "
    "schedulerName initContainers automountServiceAccountToken? tolerations hostAliases "
    "priorityClassName priority? dnsConfig shareProcessNamespace? readinessGates "
    "runtimeClassName? enableServiceLinks? preemptionPolicy? overhead topologySpreadConstraints "
    "- setHostnameAsFQDN? - - schedulingGates",
    f"{_CORE}.Container": "name image command args workingDir ports env resources volumeMounts "
    "livenessProbe readinessProbe lifecycle terminationMessagePath imagePullPolicy "
    "securityContext stdin stdinOnce tty envFrom terminationMessagePolicy - startupProbe - "
    "restartPolicy?",
    f"{_CORE}.ContainerPort": "name hostPort containerPort protocol hostIP",
    f"{_CORE}.EnvVar": "name value valueFrom",
    f"{_CORE}.EnvVarSource": "fieldRef resourceFieldRef configMapKeyRef secretKeyRef",
    f"{_CORE}.ObjectFieldSelector": "apiVersion fieldPath",
    f"{_CORE}.ResourceFieldSelector": "containerName resource divisor",
    f"{_CORE}.ConfigMapKeySelector": "*LocalObjectReference key optional?",
    f"{_CORE}.SecretKeySelector": "*LocalObjectReference key optional?",
    f"{_CORE}.EnvFromSource": "prefix configMapRef secretRef",
    f"{_CORE}.ConfigMapEnvSource": "*LocalObjectReference optional?",
    f"{_CORE}.SecretEnvSource": "*LocalObjectReference optional?",
    f"{_CORE}.ResourceRequirements": "limits requests",
    f"{_CORE}.VolumeMount": "name readOnly mountPath subPath mountPropagation? subPathExpr "
    "recursiveReadOnly?",
    f"{_CORE}.Probe": "*ProbeHandler initialDelaySeconds timeoutSeconds periodSeconds "
    "successThreshold failureThreshold terminationGracePeriodSeconds?",
    f"{_CORE}.HTTPGetAction": "path port host scheme httpHeaders",
    f"{_CORE}.HTTPHeader": "name value",
    f"{_CORE}.TCPSocketAction": "port host",
    f"{_CORE}.ExecAction": "command",
    f"{_CORE}.GRPCAction": "port service?",
    f"{_CORE}.Lifecycle": "postStart preStop stopSignal?",
    f"{_CORE}.LifecycleHandler": "exec httpGet tcpSocket sleep",
    f"{_CORE}.SleepAction": "seconds",
    f"{_CORE}.Toleration": "key operator value effect tolerationSeconds?",
    f"{_CORE}.PodReadinessGate": "conditionType",
    f"{_CORE}.PodSchedulingGate": "name",
    f"{_CORE}.TopologySpreadConstraint": "maxSkew topologyKey whenUnsatisfiable labelSelector "
    "minDomains? nodeAffinityPolicy? nodeTaintsPolicy? matchLabelKeys",
    f"{_CORE}.PodSecurityContext": "seLinuxOptions runAsUser? runAsNonRoot? supplementalGroups "
    "fsGroup? runAsGroup?",
    f"{_CORE}.SecurityContext": "- privileged? - runAsUser? runAsNonRoot? readOnlyRootFilesystem? "
    "allowPrivilegeEscalation? runAsGroup?",
    f"{_CORE}.Volume": "name *VolumeSource",
    f"{_CORE}.EmptyDirVolumeSource": "medium sizeLimit",
    f"{_CORE}.HostPathVolumeSource": "path type?",
    f"{_CORE}.SecretVolumeSource": "secretName items defaultMode? optional?",
    f"{_CORE}.ConfigMapVolumeSource": "*LocalObjectReference items defaultMode? optional?",
    f"{_CORE}.KeyToPath": "key path mode?",
    f"{_CORE}.PodStatus": "phase conditions message reason hostIP podIP startTime "
    "containerStatuses qosClass initContainerStatuses nominatedNodeName podIPs",
    f"{_CORE}.PodCondition": "type status lastProbeTime lastTransitionTime reason message "
    "observedGeneration",
    # -- inlined
    "LocalObjectReference": "name",
    "ProbeHandler": "exec httpGet tcpSocket grpc",
    "VolumeSource": "hostPath emptyDir - - - secret - - - - - - - - - - - - configMap",
    # -- apps
    f"{_APPS}.Deployment": "metadata spec status",
    f"{_APPS}.DeploymentSpec": "replicas? selector template strategy minReadySeconds "
    "revisionHistoryLimit? paused - progressDeadlineSeconds?",
    f"{_APPS}.DeploymentStrategy": "type rollingUpdate",
    f"{_APPS}.RollingUpdateDeployment": "maxUnavailable maxSurge",
    f"{_APPS}.DeploymentStatus": "observedGeneration replicas updatedReplicas availableReplicas "
    "unavailableReplicas conditions readyReplicas collisionCount? terminatingReplicas?",
    f"{_APPS}.DeploymentCondition": "type status - reason message lastUpdateTime "
    "lastTransitionTime",
    f"{_APPS}.ReplicaSet": "metadata spec status",
    f"{_APPS}.ReplicaSetSpec": "replicas? selector template minReadySeconds",
    f"{_APPS}.ReplicaSetStatus": "replicas fullyLabeledReplicas observedGeneration readyReplicas "
    "availableReplicas conditions terminatingReplicas?",
    f"{_APPS}.ReplicaSetCondition": "type status lastTransitionTime reason message",
    # -- autoscaling
    f"{_SCALING_1}.Scale": "metadata spec status",
    f"{_SCALING_1}.ScaleSpec": "replicas",
    f"{_SCALING_1}.ScaleStatus": "replicas selector",
    f"{_SCALING_1}.CrossVersionObjectReference": "kind name apiVersion",
    f"{_SCALING_1}.HorizontalPodAutoscaler": "metadata spec status",
    f"{_SCALING_1}.HorizontalPodAutoscalerSpec": "scaleTargetRef minReplicas? maxReplicas "
    "targetCPUUtilizationPercentage?",
    f"{_SCALING_1}.HorizontalPodAutoscalerStatus": "observedGeneration? lastScaleTime "
    "currentReplicas desiredReplicas currentCPUUtilizationPercentage?",
    f"{_SCALING_2}.HorizontalPodAutoscaler": "metadata spec status",
    f"{_SCALING_2}.HorizontalPodAutoscalerSpec": "scaleTargetRef minReplicas? maxReplicas metrics "
    "behavior",
    f"{_SCALING_2}.HorizontalPodAutoscalerStatus": "observedGeneration? lastScaleTime "
    "currentReplicas desiredReplicas currentMetrics conditions",
    f"{_SCALING_2}.HorizontalPodAutoscalerCondition": "type status lastTransitionTime reason "
    "message",
    f"{_SCALING_2}.CrossVersionObjectReference": "kind name apiVersion",
    f"{_SCALING_2}.MetricSpec": "type object pods resource external - containerResource",
    f"{_SCALING_2}.MetricStatus": "type object pods resource external - containerResource",
    f"{_SCALING_2}.ResourceMetricSource": "name target",
    f"{_SCALING_2}.ResourceMetricStatus": "name current",
    f"{_SCALING_2}.ContainerResourceMetricSource": "name target container",
    f"{_SCALING_2}.PodsMetricSource": "metric target",
    f"{_SCALING_2}.MetricIdentifier": "name selector",
    f"{_SCALING_2}.MetricTarget": "type value averageValue averageUtilization?",
    f"{_SCALING_2}.MetricValueStatus": "value averageValue averageUtilization?",
    f"{_SCALING_2}.HorizontalPodAutoscalerBehavior": "scaleUp scaleDown",
    f"{_SCALING_2}.HPAScalingRules": "selectPolicy? policies stabilizationWindowSeconds? tolerance",
    f"{_SCALING_2}.HPAScalingPolicy": "type value periodSeconds",
    # -- policy, coordination, events
    "io.k8s.api.policy.v1.Eviction": "metadata deleteOptions",
    "io.k8s.api.coordination.v1.Lease": "metadata spec",
    "io.k8s.api.coordination.v1.LeaseSpec": "holderIdentity? leaseDurationSeconds? acquireTime "
    "renewTime leaseTransitions? strategy? preferredHolder?",
    "io.k8s.api.events.v1.Event": "metadata eventTime series reportingController "
    "reportingInstance action reason regarding related note type deprecatedSource "
    "deprecatedFirstTimestamp deprecatedLastTimestamp deprecatedCount",
    "io.k8s.api.events.v1.EventSeries": "count lastObservedTime",
}
