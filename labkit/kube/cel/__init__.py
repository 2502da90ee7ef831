"""CEL, the Common Expression Language, as far as rules of Kubernetes use it.

    program = compile("self.min <= self.max && self.names.all(n, n.startsWith('a'))")
    program.evaluate({"self": {"min": 1, "max": 2, "names": []}})

In reading order: `tokens`, `parser` (text to closures), `values` (what +, == and < mean),
`macros`, `functions` and `libraries` (what can be called).

Values are Python's own for JSON, `timedelta` for durations and `datetime` for timestamps.  A
program that cannot be evaluated raises CelError with the words of cel-go, such as
`no such key: x`.

Source: github.com/google/cel-spec (langdef.md), github.com/google/cel-go and
k8s.io/apiserver/pkg/cel/library.  Left out: static types (a wrong type is found when the program
runs), unsigned integers apart from signed ones, comprehensions with two variables, costs.
"""

from labkit.kube.cel.parser import Program, compile
from labkit.kube.cel.values import CelError, CelSyntaxError, Optional

__all__ = ["CelError", "CelSyntaxError", "Optional", "Program", "compile"]
