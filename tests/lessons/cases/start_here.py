from tests.lessons.objects import pod

CHAPTER = "00-start-here"
CASES = {
    "first-pod": {
        "right": [pod("mine")],
        "no-pod": [pod("hello")],
        "other-image": [pod("mine", image="busybox")],
        "ended": [pod("mine", phase="Succeeded", ready=False)],
        "not-ready": [pod("mine", ready=False)],
    },
}
