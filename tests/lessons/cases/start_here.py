from tests.lessons.objects import pod

CHAPTER = "00-start-here"


def hello(**labels: str) -> dict:
    made = pod("hello", labels=labels)
    made["spec"]["nodeName"] = "lab-worker2"
    return made


def once(phase: str, policy: str = "Never") -> dict:
    made = pod("once", phase=phase, ready=False)
    made["spec"]["restartPolicy"] = policy
    return made


CASES = {
    "first-pod": {
        "right": [pod("mine")],
        "no-pod": [pod("hello")],
        "other-image": [pod("mine", image="busybox")],
        "ended": [pod("mine", phase="Succeeded", ready=False)],
        "not-ready": [pod("mine", ready=False)],
    },
    "where": {
        "right": [hello(run="hello", node="lab-worker2")],
        "no-pod": [pod("mine")],
        "no-label": [hello(run="hello")],
        "address": [hello(node="127.246.1.2")],
        "other-node": [hello(node="lab-worker")],
    },
    "mended": {
        "right": [pod("typo")],
        "no-pod": [pod("hello")],
        "misspelt": [pod("typo", image="todolits", waiting="ErrImagePull")],
        "cannot-pull": [pod("typo", image="todolist:v99", waiting="ErrImagePull")],
        "not-ready": [pod("typo", ready=False)],
    },
    "once": {
        "right": [once("Succeeded")],
        "no-pod": [pod("hello")],
        "starts-again": [once("Running", "Always")],
        "failed": [once("Failed")],
        "goes-on": [once("Running")],
    },
}
