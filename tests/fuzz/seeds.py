"""Valid objects to begin with: one of each served kind, with the fields that code looks into."""

from __future__ import annotations

_CONTAINER = {
    "name": "app",
    "image": "web:1",
    "command": ["sh", "-c", "sleep 1"],
    "env": [
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ],
    "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1"}},
    "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
}
_POD = {
    "containers": [_CONTAINER],
    "initContainers": [{"name": "init", "image": "web:1"}],
    "volumes": [{"name": "v", "emptyDir": {}}],
    "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoSchedule"}],
    "nodeSelector": {"disk": "ssd"},
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
                ]
            }
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 1,
}
_SELECTOR = {"matchLabels": {"app": "a"}}
_TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": _POD}
_WORKLOAD = {"replicas": 1, "selector": _SELECTOR, "template": _TEMPLATE}
_JOB = {
    "completions": 1,
    "parallelism": 1,
    "backoffLimit": 2,
    "template": {"spec": {**_POD, "restartPolicy": "Never"}},
}
_SCALE_TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x1"}
_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
_ROLE_REF = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
_SUBJECTS = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}]
_REFERENCE = {"kind": "Pod", "namespace": "default", "name": "x1", "apiVersion": "v1"}
_BACKEND = {"service": {"name": "s", "port": {"number": 80}}}
_SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 0, "default": 1},
                "name": {"type": "string", "pattern": "^[a-z]+$"},
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["id"],
                    "items": {
                        "type": "object",
                        "required": ["id"],
                        "properties": {"id": {"type": "string"}},
                    },
                },
                "any": {"x-kubernetes-preserve-unknown-fields": True},
                "port": {"x-kubernetes-int-or-string": True},
            },
        },
        "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
    },
}
CRD = {
    "metadata": {"name": "things.fuzz.dev"},
    "spec": {
        "group": "fuzz.dev",
        "scope": "Namespaced",
        "names": {
            "plural": "things",
            "singular": "thing",
            "kind": "Thing",
            "listKind": "ThingList",
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": _SCHEMA},
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.size",
                        "statusReplicasPath": ".status.size",
                    },
                },
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"}
                ],
            },
            {
                "name": "v2",
                "served": True,
                "storage": False,
                "schema": {"openAPIV3Schema": _SCHEMA},
            },
        ],
    },
}

SEEDS: dict[str, dict] = {
    "Pod": {"spec": _POD, "status": {"phase": "Running", "podIP": "127.244.1.9"}},
    "PodTemplate": {"template": _TEMPLATE},
    "ReplicationController": {
        "spec": {"replicas": 1, "selector": {"app": "a"}, "template": _TEMPLATE}
    },
    "Deployment": {"spec": {**_WORKLOAD, "strategy": {"rollingUpdate": {"maxSurge": "25%"}}}},
    "ReplicaSet": {"spec": _WORKLOAD},
    "StatefulSet": {
        "spec": {
            **_WORKLOAD,
            "serviceName": "s",
            "volumeClaimTemplates": [{"metadata": {"name": "v"}, "spec": _CLAIM}],
        }
    },
    "DaemonSet": {"spec": {"selector": _SELECTOR, "template": _TEMPLATE}},
    "ControllerRevision": {"revision": 1, "data": {"spec": {}}},
    "Job": {"spec": _JOB},
    "CronJob": {"spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": _JOB}}},
    "Service": {
        "spec": {
            "selector": {"app": "a"},
            "type": "NodePort",
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            "sessionAffinity": "ClientIP",
        }
    },
    "Endpoints": {"subsets": [{"addresses": [{"ip": "127.244.1.9"}], "ports": [{"port": 80}]}]},
    "EndpointSlice": {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.244.1.9"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    },
    "ConfigMap": {"data": {"a": "1"}, "binaryData": {"b": "AAAA"}},
    "Secret": {"type": "Opaque", "data": {"a": "AAAA"}, "stringData": {"b": "c"}},
    "Namespace": {"spec": {"finalizers": ["kubernetes"]}},
    "Node": {
        "spec": {"podCIDR": "127.244.9.0/24", "taints": [{"key": "k", "effect": "NoSchedule"}]},
        "status": {
            "capacity": {"cpu": "1"},
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}},
        },
    },
    "Event": {
        "involvedObject": _REFERENCE,
        "regarding": _REFERENCE,
        "reason": "Fuzzed",
        "message": "m",
        "note": "m",
        "type": "Normal",
        "count": 1,
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "fuzz.dev/fuzzer",
        "reportingInstance": "fuzzer-1",
        "action": "Fuzzing",
        "series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"},
    },
    "ServiceAccount": {"automountServiceAccountToken": True, "secrets": [{"name": "s"}]},
    "ResourceQuota": {"spec": {"hard": {"pods": "100", "requests.cpu": "100"}}},
    "LimitRange": {
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}, "max": {"cpu": "2"}}]}
    },
    "PersistentVolumeClaim": {"spec": _CLAIM},
    "PersistentVolume": {
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/x"},
        }
    },
    "StorageClass": {"provisioner": "fuzz.dev/none", "parameters": {"a": "b"}},
    "HorizontalPodAutoscaler": {
        "spec": {
            "scaleTargetRef": _SCALE_TARGET,
            "minReplicas": 1,
            "maxReplicas": 3,
            "targetCPUUtilizationPercentage": 50,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 50},
                    },
                }
            ],
            "behavior": {
                "scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 5}]}
            },
        }
    },
    "Ingress": {
        "spec": {
            "rules": [
                {
                    "host": "a.example",
                    "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": _BACKEND}]},
                }
            ]
        }
    },
    "IngressClass": {"spec": {"controller": "fuzz.dev/none"}},
    "NetworkPolicy": {
        "spec": {
            "podSelector": _SELECTOR,
            "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 80}]}],
        }
    },
    "PodDisruptionBudget": {"spec": {"minAvailable": "50%", "selector": _SELECTOR}},
    "PriorityClass": {"value": 5, "description": "d"},
    "RuntimeClass": {"handler": "h"},
    "Lease": {
        "spec": {
            "holderIdentity": "h",
            "leaseDurationSeconds": 5,
            "renewTime": "2026-01-01T00:00:00.000000Z",
        }
    },
    "Role": {"rules": _RULES},
    "ClusterRole": {"rules": _RULES, "aggregationRule": {"clusterRoleSelectors": [_SELECTOR]}},
    "RoleBinding": {"roleRef": _ROLE_REF, "subjects": _SUBJECTS},
    "ClusterRoleBinding": {"roleRef": _ROLE_REF, "subjects": _SUBJECTS},
    "CustomResourceDefinition": {"spec": CRD["spec"]},
    "Thing": {
        "spec": {"size": 2, "name": "a", "parts": [{"id": "1"}], "any": {"b": [1]}, "port": "x"}
    },
    "TokenReview": {"spec": {"token": "abc"}},
    "SubjectAccessReview": {
        "spec": {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods"}}
    },
    "SelfSubjectAccessReview": {"spec": {"nonResourceAttributes": {"path": "/x", "verb": "get"}}},
    "LocalSubjectAccessReview": {
        "spec": {"user": "j", "resourceAttributes": {"verb": "get", "namespace": "default"}}
    },
    "SelfSubjectRulesReview": {"spec": {"namespace": "default"}},
    "TokenRequest": {"spec": {"audiences": ["a"], "expirationSeconds": 600}},
    "Eviction": {"deleteOptions": {"gracePeriodSeconds": 0}},
    "Binding": {"target": {"kind": "Node", "name": "x1"}},
    "Scale": {"spec": {"replicas": 2}},
    "DeleteOptions": {"gracePeriodSeconds": 0, "propagationPolicy": "Background"},
}
