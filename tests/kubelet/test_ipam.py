"""Which address a Pod gets on a network that nodes share."""

import pytest

from labkit.kubelet.ipam import AddressPool, NoAddress

CIDR = "10.244.1.0/29"  # Pods have .2 to .6


def test_addresses_come_one_after_the_other_and_begin_again_at_the_end():
    pool, taken = AddressPool(), []
    for owner in "abcdef":
        taken.append(pool.take(owner, CIDR, set()).rpartition(".")[2])
        pool.give_back(owner)
    assert taken == ["2", "3", "4", "5", "6", "2"]


def test_what_a_container_has_or_is_about_to_have_is_passed_over():
    pool = AddressPool()
    assert pool.take("a", CIDR, {"10.244.1.2"}) == "10.244.1.3"
    assert pool.take("b", CIDR, {"10.244.1.2"}) == "10.244.1.4"
    assert pool.take("a", CIDR, {"10.244.1.2"}) == "10.244.1.5", "a new sandbox, a new address"


def test_a_node_without_a_free_address_says_so_in_the_plugins_words():
    used = {f"10.244.1.{number}" for number in range(2, 7)}
    with pytest.raises(NoAddress, match=r"no IP addresses available in range set: 10\.244\.1\.1-"):
        AddressPool().take("a", CIDR, used)
