"""What makes, scales and protects Pods."""

from __future__ import annotations

APPS = {
    "Deployment": "metadata spec status",
    "DeploymentSpec": (
        "replicas? selector template strategy minReadySeconds revisionHistoryLimit? paused - "
        "progressDeadlineSeconds?"
    ),
    "DeploymentStrategy": "type rollingUpdate",
    "RollingUpdateDeployment": "maxUnavailable? maxSurge?",
    "DeploymentStatus": (
        "observedGeneration replicas updatedReplicas availableReplicas unavailableReplicas "
        "conditions readyReplicas collisionCount? terminatingReplicas?"
    ),
    "DeploymentCondition": "type status - reason message lastUpdateTime lastTransitionTime",
    "ReplicaSet": "metadata spec status",
    "ReplicaSetSpec": "replicas? selector template minReadySeconds",
    "ReplicaSetStatus": (
        "replicas fullyLabeledReplicas observedGeneration readyReplicas availableReplicas "
        "conditions terminatingReplicas?"
    ),
    "ReplicaSetCondition": "type status lastTransitionTime reason message",
    "StatefulSet": "metadata spec status",
    "StatefulSetSpec": (
        "replicas? selector template volumeClaimTemplates serviceName podManagementPolicy "
        "updateStrategy revisionHistoryLimit? minReadySeconds "
        "persistentVolumeClaimRetentionPolicy ordinals"
    ),
    "StatefulSetUpdateStrategy": "type rollingUpdate",
    "RollingUpdateStatefulSetStrategy": "partition? maxUnavailable?",
    "StatefulSetPersistentVolumeClaimRetentionPolicy": "whenDeleted whenScaled",
    "StatefulSetOrdinals": "start",
    "StatefulSetStatus": (
        "observedGeneration replicas readyReplicas currentReplicas updatedReplicas "
        "currentRevision updateRevision - collisionCount? conditions availableReplicas"
    ),
    "StatefulSetCondition": "type status lastTransitionTime reason message",
    "DaemonSet": "metadata spec status",
    "DaemonSetSpec": "selector template updateStrategy minReadySeconds - revisionHistoryLimit?",
    "DaemonSetUpdateStrategy": "type rollingUpdate",
    "RollingUpdateDaemonSet": "maxUnavailable? maxSurge?",
    "DaemonSetStatus": (
        "currentNumberScheduled numberMisscheduled desiredNumberScheduled numberReady "
        "observedGeneration updatedNumberScheduled numberAvailable numberUnavailable "
        "collisionCount? conditions"
    ),
    "DaemonSetCondition": "type status lastTransitionTime reason message",
    "ControllerRevision": "metadata data revision",
}

BATCH = {
    "Job": "metadata spec status",
    "JobSpec": (
        "parallelism? completions? activeDeadlineSeconds? selector manualSelector? template "
        "backoffLimit? ttlSecondsAfterFinished? completionMode? suspend? podFailurePolicy "
        "backoffLimitPerIndex? maxFailedIndexes? podReplacementPolicy? managedBy? successPolicy -"
    ),
    "PodFailurePolicy": "rules",
    "PodFailurePolicyRule": "action onExitCodes onPodConditions",
    "PodFailurePolicyOnExitCodesRequirement": "containerName? operator values",
    "PodFailurePolicyOnPodConditionsPattern": "type status",
    "SuccessPolicy": "rules",
    "SuccessPolicyRule": "succeededIndexes? succeededCount?",
    "JobStatus": (
        "conditions startTime completionTime active succeeded failed completedIndexes "
        "uncountedTerminatedPods ready? failedIndexes? terminating?"
    ),
    "JobCondition": "type status lastProbeTime lastTransitionTime reason message",
    "UncountedTerminatedPods": "succeeded failed",
    "CronJob": "metadata spec status",
    "CronJobSpec": (
        "schedule startingDeadlineSeconds? concurrencyPolicy suspend? jobTemplate "
        "successfulJobsHistoryLimit? failedJobsHistoryLimit? timeZone?"
    ),
    "JobTemplateSpec": "metadata spec",
    "CronJobStatus": "active - - lastScheduleTime lastSuccessfulTime",
}

AUTOSCALING_1 = {
    "HorizontalPodAutoscaler": "metadata spec status",
    "HorizontalPodAutoscalerSpec": (
        "scaleTargetRef minReplicas? maxReplicas targetCPUUtilizationPercentage?"
    ),
    "CrossVersionObjectReference": "kind name apiVersion",
    "HorizontalPodAutoscalerStatus": (
        "observedGeneration? lastScaleTime currentReplicas desiredReplicas "
        "currentCPUUtilizationPercentage?"
    ),
    "Scale": "metadata spec status",
    "ScaleSpec": "replicas",
    "ScaleStatus": "replicas selector",
}

AUTOSCALING_2 = {
    "HorizontalPodAutoscaler": "metadata spec status",
    "HorizontalPodAutoscalerSpec": "scaleTargetRef minReplicas? maxReplicas metrics behavior",
    "CrossVersionObjectReference": "kind name apiVersion",
    "MetricSpec": "type object pods resource external - containerResource",
    "ObjectMetricSource": "describedObject target metric",
    "MetricTarget": "type value averageValue averageUtilization?",
    "MetricIdentifier": "name selector",
    "PodsMetricSource": "metric target",
    "ResourceMetricSource": "name target",
    "ContainerResourceMetricSource": "name target container",
    "ExternalMetricSource": "metric target",
    "HorizontalPodAutoscalerBehavior": "scaleUp scaleDown",
    "HPAScalingRules": "selectPolicy? policies stabilizationWindowSeconds? tolerance",
    "HPAScalingPolicy": "type value periodSeconds",
    "HorizontalPodAutoscalerStatus": (
        "observedGeneration? lastScaleTime currentReplicas desiredReplicas currentMetrics "
        "conditions"
    ),
    "MetricStatus": "type object pods resource external - containerResource",
    "ObjectMetricStatus": "metric current describedObject",
    "MetricValueStatus": "value averageValue averageUtilization?",
    "PodsMetricStatus": "metric current",
    "ResourceMetricStatus": "name current",
    "ContainerResourceMetricStatus": "name current container",
    "ExternalMetricStatus": "metric current",
    "HorizontalPodAutoscalerCondition": "type status lastTransitionTime reason message -",
}

POLICY = {
    "PodDisruptionBudget": "metadata spec status",
    "PodDisruptionBudgetSpec": "minAvailable? selector maxUnavailable? unhealthyPodEvictionPolicy?",
    "PodDisruptionBudgetStatus": (
        "observedGeneration disruptedPods disruptionsAllowed currentHealthy desiredHealthy "
        "expectedPods conditions"
    ),
    "Eviction": "metadata deleteOptions",
}
