"""The core group: Pods, their containers, and where they may run."""

from __future__ import annotations

PODS = {
    "Pod": "metadata spec status",
    "PodSpec": (
        "volumes containers restartPolicy terminationGracePeriodSeconds? activeDeadlineSeconds? "
        "dnsPolicy nodeSelector serviceAccountName serviceAccount nodeName hostNetwork hostPID "
        "hostIPC securityContext imagePullSecrets hostname subdomain affinity schedulerName "
        "initContainers automountServiceAccountToken? tolerations hostAliases priorityClassName "
        "priority? dnsConfig shareProcessNamespace? readinessGates runtimeClassName? "
        "enableServiceLinks? preemptionPolicy? overhead topologySpreadConstraints "
        "ephemeralContainers setHostnameAsFQDN? os hostUsers? schedulingGates resourceClaims "
        "resources hostnameOverride? - schedulingGroup -"
    ),
    "ObjectFieldSelector": "apiVersion fieldPath",
    "ResourceFieldSelector": "containerName resource divisor",
    "Container": (
        "name image command args workingDir ports env resources volumeMounts livenessProbe "
        "readinessProbe lifecycle terminationMessagePath imagePullPolicy securityContext stdin "
        "stdinOnce tty envFrom terminationMessagePolicy volumeDevices startupProbe resizePolicy "
        "restartPolicy? restartPolicyRules"
    ),
    "ContainerPort": "name hostPort containerPort protocol hostIP",
    "EnvFromSource": "prefix configMapRef secretRef",
    "ConfigMapEnvSource": "*LocalObjectReference optional?",
    "SecretEnvSource": "*LocalObjectReference optional?",
    "EnvVar": "name value valueFrom",
    "EnvVarSource": "fieldRef resourceFieldRef configMapKeyRef secretKeyRef fileKeyRef",
    "ConfigMapKeySelector": "*LocalObjectReference key optional?",
    "SecretKeySelector": "*LocalObjectReference key optional?",
    "FileKeySelector": "volumeName path key optional?",
    "ResourceRequirements": "limits requests claims",
    "ResourceClaim": "name request",
    "ContainerResizePolicy": "resourceName restartPolicy",
    "ContainerRestartRule": "action exitCodes",
    "ContainerRestartRuleOnExitCodes": "operator values",
    "VolumeMount": (
        "name readOnly mountPath subPath mountPropagation? subPathExpr recursiveReadOnly? -"
    ),
    "VolumeDevice": "name devicePath",
    "Probe": (
        "*ProbeHandler initialDelaySeconds timeoutSeconds periodSeconds successThreshold "
        "failureThreshold terminationGracePeriodSeconds?"
    ),
    "ExecAction": "command",
    "HTTPGetAction": "path port host scheme httpHeaders -",
    "HTTPHeader": "name value",
    "TCPSocketAction": "port host",
    "GRPCAction": "port service? -",
    "Lifecycle": "postStart preStop stopSignal?",
    "LifecycleHandler": "exec httpGet tcpSocket sleep",
    "SleepAction": "seconds",
    "SecurityContext": (
        "capabilities privileged? seLinuxOptions runAsUser? runAsNonRoot? readOnlyRootFilesystem? "
        "allowPrivilegeEscalation? runAsGroup? procMount? windowsOptions seccompProfile "
        "appArmorProfile"
    ),
    "Capabilities": "add drop",
    "SELinuxOptions": "user role type level",
    "WindowsSecurityContextOptions": (
        "gmsaCredentialSpecName? gmsaCredentialSpec? runAsUserName? hostProcess?"
    ),
    "SeccompProfile": "type localhostProfile?",
    "AppArmorProfile": "type localhostProfile?",
    "EphemeralContainer": "*EphemeralContainerCommon targetContainerName",
    "PodSecurityContext": (
        "seLinuxOptions runAsUser? runAsNonRoot? supplementalGroups fsGroup? runAsGroup? sysctls "
        "windowsOptions fsGroupChangePolicy? seccompProfile appArmorProfile "
        "supplementalGroupsPolicy? seLinuxChangePolicy?"
    ),
    "Sysctl": "name value",
    "Affinity": "nodeAffinity podAffinity podAntiAffinity",
    "NodeAffinity": (
        "requiredDuringSchedulingIgnoredDuringExecution "
        "preferredDuringSchedulingIgnoredDuringExecution"
    ),
    "NodeSelector": "nodeSelectorTerms",
    "NodeSelectorTerm": "matchExpressions matchFields",
    "NodeSelectorRequirement": "key operator values",
    "PreferredSchedulingTerm": "weight preference",
    "PodAffinity": (
        "requiredDuringSchedulingIgnoredDuringExecution "
        "preferredDuringSchedulingIgnoredDuringExecution"
    ),
    "PodAffinityTerm": (
        "labelSelector namespaces topologyKey namespaceSelector matchLabelKeys mismatchLabelKeys"
    ),
    "WeightedPodAffinityTerm": "weight podAffinityTerm",
    "PodAntiAffinity": (
        "requiredDuringSchedulingIgnoredDuringExecution "
        "preferredDuringSchedulingIgnoredDuringExecution"
    ),
    "Toleration": "key operator value effect tolerationSeconds?",
    "HostAlias": "ip hostnames",
    "PodDNSConfig": "nameservers searches options",
    "PodDNSConfigOption": "name value?",
    "PodReadinessGate": "conditionType",
    "TopologySpreadConstraint": (
        "maxSkew topologyKey whenUnsatisfiable labelSelector minDomains? nodeAffinityPolicy? "
        "nodeTaintsPolicy? matchLabelKeys"
    ),
    "PodOS": "name",
    "PodSchedulingGate": "name",
    "PodResourceClaim": "name - resourceClaimName? resourceClaimTemplateName?",
    "PodSchedulingGroup": "podGroupName?",
    "PodStatus": (
        "phase conditions message reason hostIP podIP startTime containerStatuses qosClass "
        "initContainerStatuses nominatedNodeName podIPs ephemeralContainerStatuses resize "
        "resourceClaimStatuses hostIPs observedGeneration extendedResourceClaimStatus "
        "allocatedResources resources nodeAllocatableResourceClaimStatuses -"
    ),
    "PodCondition": (
        "type status lastProbeTime lastTransitionTime reason message observedGeneration"
    ),
    "HostIP": "ip",
    "PodIP": "ip",
    "ContainerStatus": (
        "name state lastState ready restartCount image imageID containerID started? "
        "allocatedResources resources volumeMounts user allocatedResourcesStatus stopSignal?"
    ),
    "ContainerState": "waiting running terminated",
    "ContainerStateWaiting": "reason message",
    "ContainerStateRunning": "startedAt",
    "ContainerStateTerminated": "exitCode signal reason message startedAt finishedAt containerID",
    "VolumeMountStatus": "name mountPath readOnly recursiveReadOnly? volumeStatus",
    "ContainerUser": "linux",
    "LinuxContainerUser": "uid gid supplementalGroups",
    "ResourceStatus": "name resources",
    "ResourceHealth": "resourceID health - - - message?",
    "PodResourceClaimStatus": "name resourceClaimName?",
    "PodExtendedResourceClaimStatus": "requestMappings resourceClaimName",
    "ContainerExtendedResourceRequest": "containerName resourceName requestName",
    "NodeAllocatableResourceClaimStatus": "resourceClaimName containers - - -",
    "PodTemplate": "metadata template",
    "PodTemplateSpec": "metadata spec",
    "ContainerImage": "names sizeBytes",
    "TopologySelectorTerm": "matchLabelExpressions",
    "TopologySelectorLabelRequirement": "key values",
}
