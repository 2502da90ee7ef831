from tests.lessons.objects import deployment, event, hpa

CHAPTER = "08-autoscale"
GREW = event("myapp", "SuccessfulRescale", "New size: 3; reason: cpu resource ... above target")
SHRANK = event("myapp", "SuccessfulRescale", "New size: 1; reason: All metrics below target")
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
        "too-little": [hpa(seen=12), SHRANK],
    },
}
