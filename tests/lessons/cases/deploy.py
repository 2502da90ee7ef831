from tests.lessons.objects import deployment, done, endpoints, pod, service

CHAPTER = "04-deploy"
THREE = [pod(f"myapp-{index}") for index in range(3)]
BROKEN = "registry.example.com/myapp:v2"
STUCK = pod("new", image="todo-list", waiting="ErrImagePull")
CASES = {
    "replicas": {
        "right": [deployment(), *THREE],
        "no-deployment": [deployment("my-app"), *THREE],
        "other-number": [deployment(replicas=2), *THREE[:2]],
        "cannot-pull": [deployment(), *THREE[:2], pod("new", waiting="ImagePullBackOff")],
        "no-node": [deployment(), *THREE[:2], pod("new", unschedulable="0/3 nodes are available")],
        "not-ready": [deployment(), *THREE[:2], pod("new", ready=False)],
    },
    "service": {
        "right": [service(), *THREE, endpoints(ready=3)],
        "no-service": [service("app"), *THREE],
        "selects-nothing": [service(selector={"app": "my-app"}), *THREE, endpoints()],
        "other-port": [service(target=80), *THREE, endpoints(ready=3)],
        "none-ready": [service(), pod("myapp-0", ready=False), endpoints(unready=1)],
    },
    "image": {
        "right": [deployment(status=done(3)), *THREE],
        "no-deployment": [],
        "broken-image": [deployment(image=BROKEN), *THREE],
        "paused": [deployment(paused=True), *THREE],
        "cannot-pull": [deployment(image="todo-list"), *THREE, STUCK],
        "not-available": [deployment(status=done(3) | {"updatedReplicas": 1}), *THREE],
    },
}
