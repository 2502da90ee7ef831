"""CEL: what expressions mean, and what is none."""

from __future__ import annotations

import pytest

from labkit.kube import cel

SELF = {
    "a": 2,
    "s": "abc",
    "items": [{"name": "x"}],
    "m": {"q": 1},
    "csv": "a,b",
    "n": [1, 2, 3],
    "my-field": 1,
    "namespace": "z",
}
TRUE = """
has(self.a) && self.a > 1
!has(self.b) || self.b == 2
self.a == 2.0
'a' < 'b' && b'x' == b'x'
-7 / 2 == -3 && -7 % 2 == -1
self.a == 2 ? true : false
2 in [1, 2] && !(1 in [2]) && 'q' in self.m
self['s'] == 'abc' && self.n[0] == 1
self.my__dash__field == 1 && self.__namespace__ == 'z'
{'a': 1}.a == 1
type(self.a) == int && type(self.s) == string
"\\u0041" == 'A' && r'\\d' == '\\\\d'
self.items.exists_one(i, i.name == 'x')
self.m.map(k, k) == ['q']
self.n.filter(x, x > 1).size() == 2
self.n.map(x, x > 1, x * 2) == [4, 6]
self.items.all(i, self.items.exists(j, j.name == i.name))
size(self.s) == 3 && self.s.size() == 3
self.s.matches('^a.*') && self.s.contains('b') && self.s.endsWith('c')
self.csv.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'
self.s.upperAscii() == 'ABC' && self.s.substring(1) == 'bc' && self.s.indexOf('c') == 2
'%d-%s'.format([1, 'x']) == '1-x'
self.s.find('b.') == 'bc' && 'a1b2'.findAll('[0-9]') == ['1', '2']
self.n.isSorted() && self.n.sum() == 6 && self.n.max() == 3 && self.n.indexOf(2) == 1
sets.intersects([1], self.n) && sets.contains(self.n, [3])
duration('1h30m') > duration('60m') && duration('90s').getMinutes() == 1
timestamp('2020-01-02T00:00:00Z').getFullYear() == 2020
timestamp('2020-01-01T00:00:00Z') + duration('24h') == timestamp('2020-01-02T00:00:00Z')
int('7') == 7 && string(1.5) == '1.5' && double('2') == 2.0 && string(true) == 'true'
url('https://a.b:80/x?y=1').getHost() == 'a.b:80' && !isURL('no url')
quantity('1Gi').isGreaterThan(quantity('1000Mi')) && quantity('50k').asInteger() == 50000
isIP('1.2.3.4') && ip('::1').family() == 6 && cidr('10.0.0.0/8').containsIP('10.1.1.1')
self.?b.orValue(3) == 3 && self.?m.?q.hasValue() && self.m[?'z'].orValue(0) == 0
optional.of(1).optMap(x, x + 1).value() == 2
self.nothing == 1 || true
!(self.nothing == 1 && false)
[1, 'x', 2].exists(x, x == 2)
"""


@pytest.mark.parametrize("text", TRUE.strip().splitlines())
def test_what_is_true(text):
    assert cel.compile(text).evaluate({"self": SELF, "oldSelf": None}) is True


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("self.nothing == 1", "no such key: nothing"),
        ("self.n[7] == 1", "index out of bounds: 7"),
        ("1 / 0 == 1", "division by zero"),
        ("9223372036854775807 + 1 > 0", "integer overflow"),
        ("self.s + 1 == 2", "no such overload"),
        ("1 < 'x'", "no such overload"),
        ("self.s ? true : false", "no such overload"),
        ("self.a.startsWith('x')", "no such overload"),
        ("self.nothing == 1 && true", "no such key: nothing"),
        ("'x'.matches('(')", "error parsing regexp"),
        ("optional.none().value() == 1", "optional.none() dereference"),
    ],
)
def test_what_has_no_value(text, error):
    with pytest.raises(cel.CelError, match=error.replace("(", r"\(").replace(")", r"\)")):
        cel.compile(text).evaluate({"self": SELF, "oldSelf": None})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("self.", "1:6: Syntax error"),
        ("foo > 1", "1:1: undeclared reference to 'foo'"),
        ("self.a &&", "1:10: Syntax error"),
        ("self.bar()", "1:6: undeclared reference to 'bar'"),
        ("has(1)", "1:5: invalid argument to has"),
        ("self.n.all(i)", "1:13: Syntax error"),
        ("'abc", "1:1: token recognition error"),
        ("(self.a", "1:8: Syntax error"),
        ("1 +\n 2 2", "2:4: Syntax error"),
        ("(" * 200, "expression recursion limit exceeded"),
    ],
)
def test_what_is_no_expression(text, place):
    with pytest.raises(cel.CelSyntaxError) as caught:
        cel.compile(text)
    assert place in str(caught.value)


def test_a_program_knows_its_variables():
    assert cel.compile("self.a == oldSelf.a").names == {"self", "oldSelf"}
    assert cel.compile("self.n.all(oldSelf_, oldSelf_ > 0)").names == {"self"}
