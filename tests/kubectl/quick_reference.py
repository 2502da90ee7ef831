"""The commands of "kubectl Quick Reference", as rows; `test_quick_reference` runs them.

Source: kubernetes/website, content/en/docs/reference/kubectl/quick-reference.md (CC BY 4.0).  What
people of the lab do not have is replaced: images by those of the lab, `my-node` by a node that is
there, and files by files in the directory where the commands run.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One command.

    `page` is the command on the page, `here` what is run in its place, where that differs.  It
    works if it ends with success and its output matches `shows`; `then` is run afterwards and must
    succeed too, `after` is waited for before.  A command that runs on is stopped when its output
    matches `until`.  `typed` is a conversation on a terminal: what to wait for, what to type then.
    """

    page: str
    here: str = ""
    shows: str = ""
    after: str = ""
    then: str = ""
    until: str = ""
    typed: tuple[tuple[str, str], ...] = ()

    @property
    def command(self) -> str:
        """What is run."""
        return self.here or self.page


@dataclass(frozen=True)
class Section:
    """Commands under one heading of the page, in a namespace with what `setup` makes there."""

    title: str
    rows: tuple[Row, ...]
    setup: str = ""
    objects: tuple[str, ...] = field(default=())  # names of manifests, applied and waited for


COMPLETION = Section(
    "Kubectl autocomplete",
    (
        Row("source <(kubectl completion bash)", then="complete -p kubectl"),
        Row('echo "source <(kubectl completion bash)" >> ~/.bashrc'),
        Row("alias k=kubectl\ncomplete -o default -F __start_kubectl k"),
        Row(
            "source <(kubectl completion zsh)",
            "kubectl completion zsh",
            shows="#compdef kubectl",
        ),
        Row(
            "kubectl completion fish | source",
            "kubectl completion fish",
            shows="fish completion for kubectl",
        ),
        Row("kubectl -A", "kubectl get services -A", shows="NAMESPACE"),
    ),
)

CONFIG = Section(
    "Kubectl context and configuration",
    (
        Row("kubectl config view", shows="current-context: labkit-lab"),
        Row(
            "KUBECONFIG=~/.kube/config:~/.kube/kubconfig2\nkubectl config view",
            "export KUBECONFIG=~/.kube/config:~/.kube/kubconfig2\nkubectl config view",
            shows="name: second",
        ),
        Row("kubectl config view --raw", shows="client-key-data: "),
        Row(
            """kubectl config view -o jsonpath='{.users[?(@.name == "e2e")].user.password}'""",
            shows="REDACTED",
        ),
        Row(
            """kubectl config view --raw -o jsonpath='{.users[?(.name == "e2e")]"""
            """.user.client-certificate-data}' | base64 -d""",
            """kubectl config view --raw -o jsonpath='{.users[?(.name == "labkit-lab")]"""
            """.user.client-certificate-data}' | base64 -d""",
            shows="BEGIN CERTIFICATE",
        ),
        Row("kubectl config view -o jsonpath='{.users[].name}'", shows="^e2e$"),
        Row("kubectl config view -o jsonpath='{.users[*].name}'", shows="e2e labkit-lab"),
        Row("kubectl config get-contexts", shows="labkit-lab"),
        Row("kubectl config get-contexts -o name", shows="labkit-lab"),
        Row("kubectl config current-context", shows="labkit-lab"),
        Row("kubectl config use-context my-cluster-name", shows="Switched to context"),
        Row("kubectl config set-cluster my-cluster-name", shows='"my-cluster-name" set'),
        Row("kubectl config set-cluster my-cluster-name --proxy-url=my-proxy-url"),
        Row(
            "kubectl config set-credentials kubeuser/foo.kubernetes.com "
            "--username=kubeuser --password=kubepassword"
        ),
        Row("kubectl config set-context --current --namespace=ggckad-s2"),
        Row(
            "kubectl config set-context gce --user=cluster-admin --namespace=foo "
            "&& kubectl config use-context gce"
        ),
        Row("kubectl config unset users.foo"),
        Row(
            """alias kx='f() { [ "$1" ] && kubectl config use-context $1 || """
            """kubectl config current-context ; } ; f'\nkx"""
        ),
        Row(
            """alias kn='f() { [ "$1" ] && kubectl config set-context --current --namespace $1 """
            """|| kubectl config view --minify | grep namespace | cut -d" " -f6 ; } ; f'\nkn foo"""
        ),
    ),
    setup="""
kubectl config set-credentials e2e --username=e2e --password=secret
kubectl config set-context my-cluster-name --cluster=labkit-lab --user=labkit-lab
KUBECONFIG=~/.kube/kubconfig2 kubectl config set-cluster second --server=https://127.0.0.1:1
""",
)

CREATING = Section(
    "Creating objects",
    (
        Row("kubectl apply -f ./my-manifest.yaml", shows="deployment.apps/my-dep created"),
        Row("kubectl apply -f ./my1.yaml -f ./my2.yaml", shows="configmap/my2 created"),
        Row("kubectl apply -f ./dir", shows="configmap/in-dir created"),
        Row(
            "kubectl apply -f https://example.com/manifest.yaml",
            "kubectl apply -f $URL/manifest.yaml",
            shows="configmap/manifest created",
        ),
        Row(
            "kubectl create deployment nginx --image=nginx",
            "kubectl create deployment nginx --image=todolist",
            then="kubectl rollout status deployment/nginx --timeout=60s",
        ),
        Row(
            'kubectl create job hello --image=busybox:1.28 -- echo "Hello World"',
            'kubectl create job hello --image=busybox:1.36 -- echo "Hello World"',
            then="kubectl wait --for=condition=complete job/hello --timeout=30s",
        ),
        Row(
            "kubectl create cronjob hello --image=busybox:1.28   "
            '--schedule="*/1 * * * *" -- echo "Hello World"',
            "kubectl create cronjob hello --image=busybox:1.36   "
            '--schedule="*/1 * * * *" -- echo "Hello World"',
            shows="cronjob.batch/hello created",
        ),
        Row("kubectl explain pods", shows="KIND: +Pod"),
        Row(
            "kubectl apply -f - <<EOF …",
            "kubectl apply -f - < two-pods.yaml",
            shows="pod/busybox-sleep-less created",
            then="kubectl wait --for=condition=Ready pod/busybox-sleep --timeout=60s",
        ),
        Row(
            'kubectl apply -f - <<EOF … $(echo -n "s33msi4" | base64 -w0) …',
            "kubectl apply -f - <<EOF\n"
            "apiVersion: v1\nkind: Secret\nmetadata: {name: mysecret}\ntype: Opaque\n"
            'data: {password: $(echo -n "s33msi4" | base64 -w0)}\nEOF',
            then="kubectl get secret mysecret -o jsonpath={.data.password} | base64 -d | grep s33m",
        ),
    ),
)

VIEWING = Section(
    "Viewing and finding resources",
    (
        Row("kubectl get services", shows="web"),
        Row("kubectl get pods --all-namespaces", shows="my-pod"),
        Row("kubectl get pods -o wide", shows="NODE"),
        Row("kubectl get deployment my-dep", shows="1/1"),
        Row("kubectl get pods", shows="Running"),
        Row("kubectl get pod my-pod -o yaml", shows="kind: Pod"),
        Row(
            "kubectl describe nodes my-node",
            "kubectl describe nodes lab-worker2",
            shows="Allocated resources:",
        ),
        Row("kubectl describe pods my-pod", shows="Normal +Started"),
        Row("kubectl get services --sort-by=.metadata.name", shows="web"),
        Row(
            "kubectl get pods --sort-by='.status.containerStatuses[0].restartCount'", shows="my-pod"
        ),
        Row("kubectl get pv --sort-by=.spec.capacity.storage", shows="my-pv"),
        Row(
            "kubectl get pods --selector=app=cassandra -o "
            "jsonpath='{.items[*].metadata.labels.version}'",
            shows="^v1$",
        ),
        Row(r"kubectl get configmap myconfig -o jsonpath='{.data.ca\.crt}'", shows="^trust$"),
        Row(
            """kubectl get secret my-secret --template='{{index .data "key-name-with-dashes"}}'""",
            shows="^aGVsbG8=$",
        ),
        Row(
            "kubectl get node --selector='!node-role.kubernetes.io/control-plane'",
            shows="lab-worker2",
        ),
        Row("kubectl get pods --field-selector=status.phase=Running", shows="my-pod"),
        Row(
            """kubectl get nodes -o jsonpath='{.items[*].status.addresses"""
            """[?(@.type=="ExternalIP")].address}'"""
        ),
        Row(
            """sel=${$(kubectl get rc my-rc --output=json | jq -j '.spec.selector | to_entries """
            """| .[] | "\\(.key)=\\(.value),"')%?}\n"""
            "echo $(kubectl get pods --selector=$sel --output=jsonpath={.items..metadata.name})",
            "kubectl wait --for=jsonpath={.status.replicas}=1 rc/my-rc --timeout=10s\n"
            """sel=$(kubectl get rc my-rc --output=json | jq -j '.spec.selector | to_entries """
            """| .[] | "\\(.key)=\\(.value),"')\n"""
            """echo $(kubectl get pods --selector=${sel%?} """
            """--output=jsonpath={.items..metadata.name})""",
            shows="my-rc-",
        ),
        Row("kubectl get pods --show-labels", shows="LABELS"),
        Row(
            "JSONPATH='{range .items[*]}{@.metadata.name}:{range @.status.conditions[*]}"
            "{@.type}={@.status};{end}{end}' \\\n"
            """ && kubectl get nodes -o jsonpath="$JSONPATH" | grep "Ready=True\"""",
            shows="lab-worker2",
        ),
        Row(
            "kubectl get node -o custom-columns='NODE_NAME:.metadata.name,"
            """STATUS:.status.conditions[?(@.type=="Ready")].status'""",
            shows="lab-worker2 +True",
        ),
        Row(
            """kubectl get secret my-secret -o go-template='{{range $k,$v := .data}}{{"### "}}"""
            """{{$k}}{{"\\n"}}{{$v|base64decode}}{{"\\n\\n"}}{{end}}'""",
            shows="hello",
        ),
        Row(
            "kubectl get pods -o json | jq '.items[].spec.containers[].env[]?"
            ".valueFrom.secretKeyRef.name' | grep -v null | sort | uniq",
            shows="my-secret",
        ),
        Row(
            "kubectl get pods --all-namespaces -o jsonpath='{range .items[*].status."
            """initContainerStatuses[*]}{.containerID}{"\\n"}{end}' | cut -d/ -f3""",
            shows="[0-9a-f]{64}",
        ),
        Row("kubectl get events --sort-by=.metadata.creationTimestamp", shows="Scheduled"),
        Row("kubectl events --types=Warning", shows="FailedScheduling"),
        Row(
            "kubectl diff -f ./my-manifest.yaml",
            "kubectl diff -f ./my-manifest.yaml; test $? -eq 1",
            shows=r"\+.*replicas: 2",
        ),
        Row(
            """kubectl get nodes -o json | jq -c 'paths|join(".")'""",
            shows="kind",
            here="""kubectl get nodes -o json | jq -c 'paths|map(tostring)|join(".")'""",
        ),
        Row(
            """kubectl get pods -o json | jq -c 'paths|join(".")'""",
            shows="kind",
            here="""kubectl get pods -o json | jq -c 'paths|map(tostring)|join(".")'""",
        ),
        Row(
            "for pod in $(kubectl get po --output=jsonpath={.items..metadata.name}); "
            "do echo $pod && kubectl exec -it $pod -- env; done",
            "for pod in $(kubectl get po -l app --output=jsonpath={.items..metadata.name}); "
            "do echo $pod && kubectl exec -it $pod -- env; done",
            shows="KUBERNETES_SERVICE_HOST",
        ),
        Row(
            "kubectl get deployment nginx-deployment --subresource=status",
            "kubectl get deployment my-dep --subresource=status",
            shows="my-dep",
        ),
    ),
    objects=("my-dep", "my-pod", "viewed"),
    setup="""
kubectl wait --for=condition=Ready pod -l app --timeout=60s
until kubectl events --types=Warning | grep FailedScheduling; do sleep 0.2; done
""",
)

UPDATING = Section(
    "Updating resources",
    (
        Row("kubectl set image deployment/frontend www=image:v2",
            "kubectl set image deployment/frontend www=todolist:v1", shows="image updated"),
        Row("kubectl rollout history deployment/frontend", shows="^2 "),
        Row("kubectl rollout undo deployment/frontend", shows="rolled back"),
        Row("kubectl rollout undo deployment/frontend --to-revision=2", shows="rolled back"),
        Row("kubectl rollout status -w deployment/frontend", shows="successfully rolled out"),
        Row("kubectl rollout restart deployment/frontend", shows="restarted"),
        Row("cat pod.json | kubectl replace -f -", shows="pod/pod replaced"),
        Row("kubectl replace --force -f ./pod.json", shows="pod/pod replaced"),
        Row("kubectl expose rc nginx --port=80 --target-port=8000",
            shows="service/nginx exposed"),
        Row(r"kubectl get pod mypod -o yaml | sed 's/\(image: myimage\):.*$/\1:v4/' "
            "| kubectl replace -f -",
            r"kubectl get pod mypod -o yaml | sed 's/\(image: busybox\):.*$/\1:latest/' "
            "| kubectl replace -f -",
            then="kubectl get pod mypod -o yaml | grep 'image: busybox:latest'"),
        Row("kubectl label pods my-pod new-label=awesome", shows="labeled"),
        Row("kubectl label pods my-pod new-label-", shows="unlabeled"),
        Row("kubectl label pods my-pod new-label=new-value --overwrite", shows="labeled"),
        Row("kubectl annotate pods my-pod icon-url=http://goo.gl/XXBTWq", shows="annotated"),
        Row("kubectl annotate pods my-pod icon-url-", shows="annotated"),
        Row("kubectl autoscale deployment foo --min=2 --max=10",
            "kubectl autoscale deployment frontend --min=2 --max=10", shows="autoscaled"),
    ),
    objects=("frontend", "my-pod", "updated"),
    setup="kubectl get pod pod -o json > pod.json",
)  # fmt: skip

PATCHING = Section(
    "Patching resources",
    (
        Row("""kubectl patch node k8s-node-1 -p '{"spec":{"unschedulable":true}}'""",
            """kubectl patch node lab-worker2 -p '{"spec":{"unschedulable":true}}'""",
            then="kubectl uncordon lab-worker2"),
        Row("""kubectl patch pod valid-pod -p '{"spec":{"containers":[{"name":"""
            """"kubernetes-serve-hostname","image":"new image"}]}}'""",
            """kubectl patch pod my-pod -p '{"spec":{"containers":[{"name":"""
            """"my-container","image":"busybox:latest"}]}}'""",
            shows="patched"),
        Row("""kubectl patch pod valid-pod --type='json' -p='[{"op": "replace", "path": """
            """"/spec/containers/0/image", "value":"new image"}]'""",
            """kubectl patch pod my-pod --type='json' -p='[{"op": "replace", "path": """
            """"/spec/containers/0/image", "value":"busybox:1.36"}]'""",
            shows="patched"),
        Row("""kubectl patch deployment valid-deployment  --type json   -p='[{"op": "remove", """
            """"path": "/spec/template/spec/containers/0/livenessProbe"}]'""",
            """kubectl patch deployment frontend  --type json   -p='[{"op": "remove", """
            """"path": "/spec/template/spec/containers/0/livenessProbe"}]'""",
            shows="patched"),
        Row("""kubectl patch sa default --type='json' -p='[{"op": "add", "path": "/secrets/1", """
            """"value": {"name": "whatever" } }]'""",
            shows="patched"),
        Row("kubectl patch deployment nginx-deployment --subresource='scale' --type='merge' "
            """-p '{"spec":{"replicas":2}}'""",
            "kubectl patch deployment frontend --subresource='scale' --type='merge' "
            """-p '{"spec":{"replicas":2}}'""",
            shows="scaled|patched"),
    ),
    objects=("frontend", "my-pod"),
    setup="""kubectl patch sa default -p '{"secrets":[{"name":"first"}]}'""",
)  # fmt: skip

EDITING = Section(
    "Editing resources",
    (
        Row("kubectl edit svc/docker-registry",
            "EDITOR='sed -i s/old/new/' kubectl edit svc/docker-registry", shows="edited"),
        Row('KUBE_EDITOR="nano" kubectl edit svc/docker-registry',
            "KUBE_EDITOR='sed -i s/new/newer/' kubectl edit svc/docker-registry",
            shows="edited"),
    ),
    objects=("docker-registry",),
)  # fmt: skip

SCALING = Section(
    "Scaling resources",
    (
        Row("kubectl scale --replicas=3 rs/foo", shows="scaled"),
        Row("kubectl scale --replicas=3 -f foo.yaml", shows="scaled"),
        Row("kubectl scale --current-replicas=2 --replicas=3 deployment/mysql", shows="scaled"),
        Row("kubectl scale --replicas=5 rc/foo rc/bar rc/baz", shows="baz scaled"),
    ),
    objects=("scaled",),
)

DELETING = Section(
    "Deleting resources",
    (
        Row("kubectl delete -f ./pod.json", shows='"pod" deleted'),
        Row("kubectl delete pod unwanted --now", shows='"unwanted" deleted'),
        Row("kubectl delete pod,service baz foo", shows='service "foo" deleted'),
        Row("kubectl delete pods,services -l name=myLabel", shows="deleted"),
        Row("kubectl -n my-ns delete pod,svc --all", shows='service "mine" deleted'),
        Row("kubectl get pods  -n mynamespace --no-headers=true | "
            "awk '/pattern1|pattern2/{print $1}' | xargs  kubectl delete -n mynamespace pod",
            shows='"pattern1-pod" deleted'),
    ),
    objects=("doomed",),
)  # fmt: skip
