from tests.lessons.objects import deployment, endpoints, ingress, pod, service

CHAPTER = "06-front-and-back"
RULE = {"app": "rule"}
USER = [service("user", selector={"app": "user"}, port=3002), endpoints("user", ready=1)]
HEADLESS = service("rule-all", selector=RULE, clusterIP="None")
PODS = [pod("rule-0", labels=RULE), pod("myapp-0")]
STICKY = service("web", selector={"app": "web"}, sessionAffinity="ClientIP")


def web(url: str, updated: int = 1) -> dict:
    status = {"replicas": 1, "updatedReplicas": updated, "availableReplicas": 1}
    made = deployment("web", replicas=1, status=status)
    container = made["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "USER_URL", "value": url}] if url else []
    return made


def api(**options: object) -> list[dict]:
    return [ingress("api", **options), service("rule", selector=RULE)]


CASES = {
    "user-by-name": {
        "right": [web("http://user.default:3002"), *USER],
        "no-web": USER,
        "no-service": [web("http://user:3002")],
        "no-endpoints": [web("http://user:3002"), USER[0], endpoints("user", unready=1)],
        "still-address": [web("http://127.244.1.9:3002"), *USER],
        "other-name": [web("http://users:3002"), *USER],
        "other-port": [web("http://user"), *USER],
        "not-rolled-out": [web("http://user:3002", updated=0), *USER],
    },
    "headless": {
        "right": [HEADLESS, *PODS, endpoints("rule-all", ready=2)],
        "no-service": [service("rule", selector=RULE)],
        "has-address": [service("rule-all", selector=RULE, clusterIP="127.96.0.9"), *PODS],
        "other-pods": [service("rule-all", clusterIP="None"), *PODS],
        "none-ready": [HEADLESS, *PODS, endpoints("rule-all", unready=2)],
    },
    "affinity": {
        "right": [STICKY, endpoints("web", ready=1)],
        "no-service": [service()],
        "no-affinity": [service("web"), endpoints("web", ready=1)],
        "no-endpoints": [STICKY],
    },
    "ingress-api": {
        "right": api(),
        "no-ingress": [ingress("todo")],
        "other-host": api(host="todo.localhost"),
        "other-path": api(path="/"),
        "other-service": api(backend="web"),
        "other-port": api(port=80),
    },
}
