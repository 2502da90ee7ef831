from __future__ import annotations

import argparse

import pytest

from labkit.errors import UsageError
from labkit.load import cli


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers())
    return parser.parse_args(["load", *words])


def test_the_command_prints_each_second_and_the_sum(server, tmp_path, capsys):
    file = tmp_path / "load.csv"
    words = (f"{server.url}fast", "--rate", "20", "--seconds", "2", "--csv", str(file))
    args = parse(*words)
    assert args.func(args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("   0 s     20 offered")
    assert "40 requests, 40 completed, 0 errors (0.0%)" in "\n".join(lines)
    assert "served by: pod-a 40" in lines
    assert file.read_text().startswith("second,time,offered,completed,errors,p50,p99\n0,")


def test_the_command_counts_errors_by_kind(server, capsys):
    args = parse(f"{server.url}broken", "--rate", "10", "--seconds", "1")
    args.func(args)
    assert "errors: HTTP 503 10" in capsys.readouterr().out


URL = "http://127.0.0.1:1/"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("", "50/s for 30 s"),
        ("--ramp-to 200", "50→200/s for 30 s"),
        ("--sine-to 200 --period 10", "50⇄200/s every 10 s for 30 s"),
        ("--noise 0.2", "50/s for 30 s, noisy by 20 %"),
    ],
)
def test_the_options_make_a_profile(words, text):
    assert str(cli.profile_of(parse(URL, *words.split()))) == text


def test_a_trace_makes_a_profile(tmp_path):
    file = tmp_path / "day.csv"
    file.write_text("t,rate\n0,5\n60,50\n")
    assert str(cli.profile_of(parse(URL, "--trace", str(file)))) == "day.csv for 60 s"


@pytest.mark.parametrize(
    "words",
    ["--rate 0", "--rate -1", "--rate 6000", "--noise 3", "--ramp-to 5 --sine-to 6", "--trace no"],
)
def test_options_that_make_no_load_are_refused(words):
    with pytest.raises(UsageError):
        cli.profile_of(parse(URL, *words.split()))


def test_a_second_without_answers_has_no_percentiles():
    row = {"second": 3, "offered": 20, "completed": 0, "errors": 0, "p50": None, "p99": None}
    assert cli.line(row).endswith("p50      –     p99      –   ")
