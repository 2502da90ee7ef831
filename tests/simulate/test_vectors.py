"""The autoscaler's arithmetic in a simulation is Kubernetes' own: all cases of upstream's tests.

A simulation's autoscaler is the cluster's, so the cases of its functions are tested beside it and
run here again; the scenarios, in which the whole controller reconciles, are in `test_reconcile`,
where the one label that upstream's table has wrong is explained too.
"""

import pytest

from tests.controllers.podautoscaler import hpa_vectors
from tests.controllers.podautoscaler.test_hpa_behavior import (  # noqa: F401
    test_a_scale_event_takes_the_place_of_one_that_no_policy_reads_any_more,
    test_policies_limit_the_rate_of_change,
    test_policies_limit_the_scale,
    test_the_least_of_the_recent_changes_counts,
    test_without_behaviour_the_bounds_and_the_step_limit_the_count,
    test_without_behaviour_the_highest_recent_recommendation_counts,
)
from tests.controllers.podautoscaler.test_hpa_proposal import (  # noqa: F401
    test_a_usage_is_written_as_metrics_server_writes_its_resource,
)
from tests.controllers.podautoscaler.test_hpa_replica_calculator import (  # noqa: F401
    test_pods_are_grouped_by_what_their_samples_are_worth,
    test_ratios_are_taken_from_averages_cut_to_whole_numbers,
    test_replicas_are_those_that_kubernetes_computes,
    test_requests_are_summed_over_what_runs_beside_each_other,
)
from tests.simulate import test_reconcile  # noqa: F401  (its cases count)


@pytest.mark.skipif(not hpa_vectors.vectors(), reason=hpa_vectors.ABSENT)
def test_all_292_cases_of_kubernetes_are_taken():
    groups = {name: cases for name, cases in hpa_vectors.vectors().items() if type(cases) is list}
    known = {(group, case["name"]) for group, cases in groups.items() for case in cases}
    assert known == hpa_vectors.COVERED
    assert len(known) == 292
