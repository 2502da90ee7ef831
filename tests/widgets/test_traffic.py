from labkit.proxy import metrics
from labkit.widgets.traffic import Rates, Traffic, read


def page(connections: int, asked: int = 0) -> str:
    row = {"service": "default/web", "address": "127.96.0.20:80", "endpoint": "127.244.1.2:3001"}
    numbers = dict.fromkeys(("active", "failures", "sent_bytes", "received_bytes"), 0)
    also = {**row, "address": "127.0.0.1:30080"}
    counts = [{**one, **numbers, "connections": connections} for one in (row, also)]
    client = {**row, "client": "127.244.2.9", "connections": asked}
    return metrics.text(counts, [client])


def test_what_the_proxy_writes_is_what_the_map_reads():
    counters = read(page(5, asked=2))
    # A Service has several addresses, and the map shows it once.
    assert counters.endpoints == {("default/web", "127.244.1.2"): 10.0}
    assert counters.clients == {("default/web", "127.244.2.9"): 2.0}


def test_a_page_of_somebody_else_tells_nothing():
    assert read("# TYPE kubeproxy_sync_proxy_rules_duration_seconds histogram\n") is None
    assert read("<html>not found</html>") is None


def test_a_page_without_services_is_known_to_have_no_traffic():
    assert Rates().add(0, read(metrics.text([], []))) == Traffic(True)


def test_rates_are_taken_over_the_last_three_seconds():
    rates = Rates()
    for second, connections in enumerate((0, 50, 100, 150, 150, 150, 150, 150)):
        traffic = rates.add(float(second), read(page(connections)))
        if second == 3:
            assert traffic.to_service("default/web") == 100.0, "two addresses of 50/s each"
    assert traffic.to_endpoints == {}
    assert traffic.known


def test_a_proxy_that_was_started_again_makes_no_negative_rates():
    rates = Rates()
    rates.add(0.0, read(page(1000)))
    traffic = rates.add(1.0, read(page(6)))
    assert traffic.to_address("127.244.1.2") == 12.0


def test_when_nobody_counts_any_more_the_traffic_is_unknown():
    rates = Rates()
    rates.add(0.0, read(page(10)))
    assert rates.add(1.0, None) == Traffic()
    assert rates.add(2.0, read(page(20))).to_endpoints == {}
