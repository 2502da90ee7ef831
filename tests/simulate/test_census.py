"""The sums that are kept from change to change are those of a look at everything."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from labkit.observe.sample import Answers, columns, sample
from labkit.simulate.census import Census

SELECTOR = {"matchLabels": {"app": "web"}}
REQUESTS = ({}, {"cpu": "100m"}, {"cpu": "0.25", "memory": "64Mi"})


@st.composite
def a_pod(draw):
    name = draw(st.sampled_from("abcd"))
    pod = {
        "metadata": {
            "name": name,
            "namespace": draw(st.sampled_from(["default", "default", "other"])),
            "labels": draw(st.sampled_from([{"app": "web"}, {"app": "web"}, {"app": "job"}])),
        },
        "spec": {
            "containers": [
                {"name": "web", "resources": {"requests": draw(st.sampled_from(REQUESTS))}}
                for _ in range(draw(st.integers(1, 2)))
            ]
        },
        "status": {"phase": draw(st.sampled_from(["Pending", "Running", "Succeeded"]))},
    }
    if draw(st.booleans()):
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return pod


def place(obj):
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def metrics(names):
    return [
        {
            "metadata": {"name": name, "namespace": space},
            "containers": [{"name": "web", "usage": {"cpu": f"{number * 1234567}n"}}],
        }
        for number, (space, name) in enumerate(names)
    ]


# A change of a Pod, the end of one, or a measurement.
STEPS = st.lists(st.one_of(a_pod(), st.sampled_from("abcd"), st.just(None)), max_size=20)


@given(STEPS)
def test_a_row_is_that_of_a_look_at_all_pods(steps):
    census, there, measured = Census("default", SELECTOR), {}, []
    for step in steps:
        if step is None:
            measured = metrics(sorted(there))
            census.measured(measured)
        elif isinstance(step, str):
            if old := there.pop(("default", step), None):
                census.changed(old, None)
        else:
            key = place(step)
            census.changed(there.get(key), step)
            there[key] = copy.deepcopy(step)
        ours = {key: pod for key, pod in there.items() if census.covers(pod)}
        # Whoever comes again under the same name has not been measured yet.
        measured = [one for one in measured if place(one) in ours]
        looked = sample(Answers(None, None, list(ours.values()), measured))
        assert repr(columns(None, None, census.used, census.counts)) == repr(looked)
