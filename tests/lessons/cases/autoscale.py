from tests.lessons.objects import deployment, event, hpa, pod

CHAPTER = "08-autoscale"
GREW = event("myapp", "SuccessfulRescale", "New size: 3; reason: cpu resource ... above target")
SHRANK = event("myapp", "SuccessfulRescale", "New size: 1; reason: All metrics below target")
EARLIER = event("myapp", "SuccessfulRescale", GREW["message"], uid="an earlier one")
OFF = hpa(active=False, reason="ScalingDisabled")
BY_ADDRESS = ["/bin/sh", "-c", "while true; do wget -q -O- http://127.245.1.4:3001/; done"]
CASES = {
    "autoscaler": {
        "right": [deployment(), hpa()],
        "no-deployment": [hpa()],
        "no-autoscaler": [deployment(), hpa("web", of="web")],
        "no-cpu-target": [deployment(), hpa(target=None)],
        "other-target": [deployment(), hpa(target=80)],
        "other-limits": [deployment(), hpa(limits=(1, 10))],
        "no-request": [deployment(resources={}), hpa()],
        "no-metrics": [deployment(), hpa(active=False)],
    },
    "load": {
        "right": [hpa(seen=5), GREW, SHRANK],
        "no-autoscaler": [deployment()],
        "no-room": [hpa(limits=(1, 1), seen=200)],
        "unknown": [hpa()],
        "by-address": [
            deployment(),
            hpa(seen=200),
            pod("myapp-1", address="127.245.1.4"),
            pod("load-generator", labels={}, args=BY_ADDRESS),
            GREW,
        ],
        "too-little": [hpa(seen=12), SHRANK, EARLIER],
    },
    "room": {
        "right": [deployment(), hpa(target=60, limits=(1, 5))],
        "no-autoscaler": [deployment()],
        "no-cpu-target": [hpa(target=None, limits=(1, 5))],
        "other-target": [hpa(target=30, limits=(1, 9))],
        "too-few": [hpa(target=60, limits=(1, 4))],
        "too-many": [hpa(target=60, limits=(1, 100))],
    },
    "asleep": {
        "right": [deployment(replicas=0), OFF],
        "no-deployment": [OFF],
        "no-autoscaler": [deployment(replicas=0)],
        "awake": [deployment(replicas=1), hpa()],
        "pods-left": [deployment(replicas=0), pod("myapp-1"), OFF],
        "unnoticed": [deployment(replicas=0), hpa()],
    },
}
