"""The second half of "kubectl Quick Reference": running Pods, nodes, the cluster, output."""

from __future__ import annotations

from tests.kubectl.quick_reference import Row, Section

CALCULATE = (("pressing enter|[#$] ", "echo here is $((6*7))\n"), ("is 42", "exit\n"))

RUNNING = Section(
    "Interacting with running Pods",
    (
        Row("kubectl logs my-pod", shows="hello from my-pod"),
        Row("kubectl logs -l name=myLabel", shows="hello from my-pod"),
        Row("kubectl logs my-pod --previous", shows="hello from my-pod"),
        Row("kubectl logs my-pod -c my-container", shows="hello from my-pod"),
        Row("kubectl logs -l name=myLabel -c my-container", shows="hello from my-pod"),
        Row("kubectl logs my-pod -c my-container --previous", shows="hello from my-pod"),
        Row("kubectl logs -f my-pod", until="hello from my-pod"),
        Row("kubectl logs -f my-pod -c my-container", until="hello from my-pod"),
        Row("kubectl logs -f -l name=myLabel --all-containers", until="tick"),
        Row(
            "kubectl run -i --tty busybox --image=busybox:1.28 -- sh",
            "kubectl run -i --tty busybox --image=busybox:1.36 -- sh",
            typed=CALCULATE,
            shows="here is 42",
        ),
        Row(
            "kubectl run nginx --image=nginx -n mynamespace",
            "kubectl run nginx --image=todolist -n mynamespace",
            shows="pod/nginx created",
        ),
        Row(
            "kubectl run nginx --image=nginx --dry-run=client -o yaml > pod.yaml",
            "kubectl run nginx --image=todolist --dry-run=client -o yaml > pod.yaml",
            then="kubectl apply -f pod.yaml",
        ),
        Row("kubectl attach my-pod -i", until="tick"),
        Row(
            "kubectl port-forward my-pod 5000:6000",
            "kubectl port-forward my-dep :3001",
            until="Forwarding from 127.0.0.1:",
        ),
        Row("kubectl exec my-pod -- ls /", shows="usr"),
        Row(
            "kubectl exec --stdin --tty my-pod -- /bin/sh",
            typed=CALCULATE,
            shows="here is 42",
        ),
        Row("kubectl exec my-pod -c my-container -- ls /", shows="usr"),
        Row(
            "kubectl debug my-pod -it --image=busybox:1.28",
            "kubectl debug my-pod -it --image=busybox:1.36",
            typed=CALCULATE,
            shows="here is 42",
        ),
        Row(
            "kubectl debug node/my-node -it --image=busybox:1.28",
            "kubectl debug node/lab-worker -it --image=busybox:1.36",
            typed=CALCULATE,
            shows="here is 42",
        ),
        Row(
            "kubectl top pod",
            # What has a new container is not shown before that has been looked at twice.
            after="until kubectl top pod my-pod; do sleep 0.5; done",
            shows="my-pod",
        ),
        Row(
            "kubectl top pod POD_NAME --containers",
            "kubectl top pod my-pod --containers",
            shows="my-container",
        ),
        Row(
            "kubectl top pod POD_NAME --sort-by=cpu",
            "kubectl top pod my-pod --sort-by=cpu",
            shows="my-pod",
        ),
    ),
    objects=("my-pod", "lone"),
    setup="""
kubectl create namespace mynamespace
kubectl exec my-pod -- sh -c 'kill $(cat pid)'
until kubectl get pod my-pod | grep -E 'Running +[1-9]'; do sleep 0.3; done
""",
)

COPYING = Section(
    "Copying files and directories to and from containers",
    (
        Row(
            "kubectl cp /tmp/foo_dir my-pod:/tmp/bar_dir",
            "kubectl cp ./foo_dir my-pod:bar_dir",
            then="kubectl exec my-pod -- cat bar_dir/file | grep content",
        ),
        Row(
            "kubectl cp /tmp/foo my-pod:/tmp/bar -c my-container",
            "kubectl cp ./foo my-pod:bar -c my-container",
            then="kubectl exec my-pod -- cat bar | grep content",
        ),
        Row(
            "kubectl cp /tmp/foo my-namespace/my-pod:/tmp/bar",
            "kubectl cp ./foo $NAMESPACE/my-pod:bar2",
            then="kubectl exec my-pod -- cat bar2 | grep content",
        ),
        Row(
            "kubectl cp my-namespace/my-pod:/tmp/foo /tmp/bar",
            "kubectl cp $NAMESPACE/my-pod:bar ./back",
            then="grep content back",
        ),
        Row(
            "tar cf - /tmp/foo | kubectl exec -i -n my-namespace my-pod -- tar xf - -C /tmp/bar",
            "tar cf - foo | kubectl exec -i -n $NAMESPACE my-pod -- tar xf - -C bar_dir",
            then="kubectl exec my-pod -- cat bar_dir/foo | grep content",
        ),
        Row(
            "kubectl exec -n my-namespace my-pod -- tar cf - /tmp/foo | tar xf - -C /tmp/bar",
            "kubectl exec -n $NAMESPACE my-pod -- tar cf - bar2 | tar xf - -C back_dir",
            then="grep content back_dir/bar2",
        ),
    ),
    objects=("my-pod",),
    setup="mkdir -p foo_dir back_dir; echo content > foo_dir/file; echo content > foo",
)

SERVICES = Section(
    "Interacting with Deployments and Services",
    (
        Row(
            "kubectl logs deploy/my-deployment",
            "kubectl logs deploy/my-dep",
            shows="3001",
        ),
        Row(
            "kubectl logs deploy/my-deployment -c my-container",
            "kubectl logs deploy/my-dep -c my-container",
            shows="3001",
        ),
        Row(
            "kubectl port-forward svc/my-service 5000",
            "kubectl port-forward svc/web :5000",
            until="Forwarding from 127.0.0.1:[0-9]+ -> 3001",
        ),
        Row(
            "kubectl port-forward svc/my-service 5000:my-service-port",
            "kubectl port-forward svc/web :http",
            until="Forwarding from 127.0.0.1:[0-9]+ -> 3001",
        ),
        Row(
            "kubectl port-forward deploy/my-deployment 5000:6000",
            "kubectl port-forward deploy/my-dep :3001",
            until="Forwarding from 127.0.0.1:[0-9]+ -> 3001",
        ),
        Row(
            "kubectl exec deploy/my-deployment -- ls",
            "kubectl exec deploy/my-dep -- ls",
            shows="todolist.py",
        ),
    ),
    objects=("my-dep",),
)

NODES = Section(
    "Interacting with Nodes and cluster",
    (
        Row(
            "kubectl cordon my-node",
            "kubectl cordon lab-worker2",
            then="kubectl get node lab-worker2 | grep SchedulingDisabled",
        ),
        Row(
            "kubectl drain my-node",
            "kubectl drain lab-worker2",
            shows="node/lab-worker2 drained",
        ),
        Row("kubectl uncordon my-node", "kubectl uncordon lab-worker2", shows="uncordoned"),
        Row("kubectl top node", shows="lab-worker2"),
        Row("kubectl top node my-node", "kubectl top node lab-worker2", shows="lab-worker2"),
        Row("kubectl cluster-info", shows="Kubernetes control plane.* is running at"),
        Row("kubectl cluster-info dump", shows='"kind": "NodeList"'),
        Row(
            "kubectl cluster-info dump --output-directory=/path/to/cluster-state",
            "kubectl cluster-info dump --output-directory=./cluster-state",
            then="test -s cluster-state/nodes.json",
        ),
        Row(
            "kubectl get nodes -o='custom-columns=NodeName:.metadata.name,"
            "TaintKey:.spec.taints[*].key,TaintValue:.spec.taints[*].value,"
            "TaintEffect:.spec.taints[*].effect'",
            shows="lab-worker2",
        ),
        Row(
            "kubectl taint nodes foo dedicated=special-user:NoSchedule",
            "kubectl taint nodes lab-worker2 dedicated=special-user:NoSchedule",
            shows="node/lab-worker2 tainted",
            then="kubectl taint nodes lab-worker2 dedicated-",
        ),
    ),
    objects=("my-dep",),
    setup="until kubectl top node lab-worker2; do sleep 0.5; done",
)

TYPES = Section(
    "Resource types",
    (
        Row("kubectl api-resources", shows="deployments +deploy +apps/v1 +true +Deployment"),
        Row("kubectl api-resources --namespaced=true", shows="pods"),
        Row("kubectl api-resources --namespaced=false", shows="nodes"),
        Row("kubectl api-resources -o name", shows="deployments.apps"),
        Row("kubectl api-resources -o wide", shows="create,delete"),
        Row("kubectl api-resources --verbs=list,get", shows="deployments"),
        Row("kubectl api-resources --api-group=extensions"),
    ),
)

OUTPUT = Section(
    "Formatting output",
    (
        Row("kubectl get pods -o=custom-columns=<spec>",
            "kubectl get pods -o=custom-columns=NAME:.metadata.name", shows="my-pod"),
        Row("kubectl get pods -o=custom-columns-file=<filename>",
            "kubectl get pods -o=custom-columns-file=columns", shows="my-pod"),
        Row("kubectl get pods -o=go-template=<template>",
            "kubectl get pods -o=go-template='{{range .items}}{{.metadata.name}}{{end}}'",
            shows="my-pod"),
        Row("kubectl get pods -o=go-template-file=<filename>",
            "kubectl get pods -o=go-template-file=template", shows="my-pod"),
        Row("kubectl get pods -o=json", shows='"kind": "Pod"'),
        Row("kubectl get pods -o=jsonpath=<template>",
            "kubectl get pods -o=jsonpath='{.items[0].metadata.name}'", shows="my-pod"),
        Row("kubectl get pods -o=jsonpath-file=<filename>",
            "kubectl get pods -o=jsonpath-file=jsonpath", shows="my-pod"),
        Row("kubectl get pods -o=name", shows="pod/my-pod"),
        Row("kubectl get pods -o=wide", shows="lab-worker"),
        Row("kubectl get pods -o=yaml", shows="kind: Pod"),
        Row("kubectl get pods -A -o=custom-columns='DATA:spec.containers[*].image'",
            shows="busybox"),
        Row("kubectl get pods --namespace default "
            '--output=custom-columns="NAME:.metadata.name,IMAGE:.spec.containers[*].image"',
            "kubectl get pods --namespace $NAMESPACE "
            '--output=custom-columns="NAME:.metadata.name,IMAGE:.spec.containers[*].image"',
            shows="busybox"),
        Row("kubectl get pods -A -o=custom-columns='DATA:spec.containers[?(@.image!="
            '"registry.k8s.io/coredns:1.6.2")].image\'', shows="busybox"),
        Row("kubectl get pods -A -o=custom-columns='DATA:metadata.*'", shows="my-pod"),
        Row("kubectl get pods --v=6", shows="my-pod"),
        Row("kubectl get pods --v=9", shows="my-pod"),
    ),
    objects=("my-pod",),
    setup="""
echo 'NAME' > columns; echo '.metadata.name' >> columns
echo '{{range .items}}{{.metadata.name}}{{end}}' > template
echo '{.items[0].metadata.name}' > jsonpath
""",
)  # fmt: skip
