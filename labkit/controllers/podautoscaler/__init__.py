"""The HorizontalPodAutoscaler controller: how many replicas a workload should have."""
