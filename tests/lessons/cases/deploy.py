from tests.lessons.objects import deployment, done, endpoints, pod, service

CHAPTER = "04-deploy"
THREE = [pod(f"myapp-{index}") for index in range(3)]
BROKEN = "registry.example.com/myapp:v2"
PHOTO, CART = {"app": "photo"}, {"app": "cart"}
KILLED = pod("photo-0", labels=PHOTO, waiting="CrashLoopBackOff", ended="OOMKilled")
UNREADY = pod("cart-0", labels=CART, ready=False)
STUCK = pod("new", image="todo-list", waiting="ErrImagePull")


def photo(limit: str | None) -> dict:
    return deployment("photo", resources={"limits": {"memory": limit}} if limit else {})


def cart(path: str = "/healthz", port: int = 3001) -> dict:
    return deployment("cart", probe={"httpGet": {"path": path, "port": port}})


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
    "memory": {
        "right": [photo("128Mi"), pod("photo-0", labels=PHOTO)],
        "no-deployment": [deployment()],
        "no-limit": [photo(None), pod("photo-0", labels=PHOTO)],
        "too-small": [photo("32Mi"), KILLED],
        "too-large": [photo("64Gi"), pod("photo-0", labels=PHOTO)],
        "killed-again": [photo("64Mi"), KILLED],
        "not-ready": [photo("64Mi"), pod("photo-0", labels=PHOTO, ready=False)],
    },
    "probe": {
        "right": [cart(), pod("cart-0", labels=CART)],
        "no-deployment": [deployment()],
        "no-probe": [deployment("cart"), pod("cart-0", labels=CART)],
        "other-port": [cart(port=80), UNREADY],
        "not-ready": [cart("/health"), UNREADY],
    },
}
