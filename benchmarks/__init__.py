"""How fast it is on this machine: whole commands, medians, never part of the tests."""
