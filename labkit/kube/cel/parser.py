"""From text to a closure: a parser by precedence, which compiles as it goes.

Each rule of the grammar gives a function from the variables to a value.  `&&`, `||` and the macros
`all` and `exists` do not care about an error on one side if the other side decides.

Source: cel-spec, langdef.md ("Syntax", "Macros").
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import lru_cache

from labkit.kube.cel import functions, macros, values
from labkit.kube.cel.tokens import Token, tokens
from labkit.kube.cel.values import CelError, CelSyntaxError, Optional

Code = Callable[[Mapping], object]

_RELATIONS = {
    "==": values.equal,
    "!=": lambda left, right: not values.equal(left, right),
    "<": values.compare(operator.lt),
    "<=": values.compare(operator.le),
    ">": values.compare(operator.gt),
    ">=": values.compare(operator.ge),
    "in": values.contains,
}
_SUMS = {"+": values.add, "-": values.subtract}
_PRODUCTS = {"*": values.multiply, "/": values.divide, "%": values.modulo}
_LITERALS = {"true": True, "false": False, "null": None}
_DEEPEST = 100  # parentheses within each other


class Program:
    """A compiled expression; `names` are the variables that it mentions."""

    def __init__(self, code: Code, names: frozenset[str]) -> None:
        self._code, self.names = code, names

    def evaluate(self, variables: Mapping) -> object:
        """The value.  Raises CelError."""
        try:
            return self._code(variables)
        except RecursionError:
            raise CelError("recursion limit exceeded") from None


@lru_cache(maxsize=1024)
def compile(text: str, variables: tuple[str, ...] = ("self", "oldSelf")) -> Program:
    """The program of an expression.  Raises CelSyntaxError."""
    parser = _Parser(text, variables)
    return Program(parser.whole(), frozenset(parser.used))


class _Parser:
    """One pass over the tokens."""

    def __init__(self, text: str, variables: tuple[str, ...]) -> None:
        self._text, self._tokens, self._at = text, tokens(text), 0
        self._scope, self._given = list(variables), len(variables)
        self._depth = 0
        self.used: set[str] = set()

    def whole(self) -> Code:
        code = self._expression()
        if self._next.kind != "end":
            raise self._unexpected()
        return code

    # Tokens.

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self, *texts: str) -> str:
        """The next token if it is one of these operators or words, else nothing."""
        token = self._next
        if token.kind in ("operator", "name") and token.text in texts:
            self._at += 1
            return token.text
        return ""

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._unexpected(text)

    def _name(self) -> Token:
        token = self._next
        if token.kind != "name":
            raise self._unexpected("IDENTIFIER")
        self._at += 1
        return token

    def _unexpected(self, wanted: str = "") -> CelSyntaxError:
        token = self._next
        why = f"Syntax error: mismatched input '{token.text}'"
        return CelSyntaxError(
            self._text, token.at, why + (f" expecting '{wanted}'" if wanted else "")
        )

    # The grammar, from what binds least to what binds most.

    def _expression(self) -> Code:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise CelSyntaxError(self._text, self._next.at, "expression recursion limit exceeded")
        condition = self._or()
        if self._take("?"):
            then = self._or()
            self._expect(":")
            condition = _choice(condition, then, self._expression())
        self._depth -= 1
        return condition

    def _or(self) -> Code:
        code = self._and()
        while self._take("||"):
            code = _junction(code, self._and(), True)
        return code

    def _and(self) -> Code:
        code = self._relation()
        while self._take("&&"):
            code = _junction(code, self._relation(), False)
        return code

    def _relation(self) -> Code:
        code = self._sum()
        while found := self._take(*_RELATIONS):
            code = _binary(_RELATIONS[found], code, self._sum())
        return code

    def _sum(self) -> Code:
        code = self._product()
        while found := self._take(*_SUMS):
            code = _binary(_SUMS[found], code, self._product())
        return code

    def _product(self) -> Code:
        code = self._unary()
        while found := self._take(*_PRODUCTS):
            code = _binary(_PRODUCTS[found], code, self._unary())
        return code

    def _unary(self) -> Code:
        if self._take("!"):
            return _not(self._unary())
        if self._take("-"):
            inner = self._unary()
            return lambda env: values.negate(inner(env))
        return self._member()

    def _member(self) -> Code:
        code = self._primary()
        while found := self._take(".", "?.", "[", "[?"):
            if found in ("[", "[?"):
                key = self._expression()
                self._expect("]")
                code = (
                    _maybe_index(code, key) if found == "[?" else _binary(values.index, code, key)
                )
                continue
            # `a.?b` is spelled with the question mark after the dot.
            optional = found == "?." or bool(self._take("?"))
            code = self._field_or_call(code, optional)
        return code

    def _field_or_call(self, target: Code, optional: bool) -> Code:
        name = self._name()
        if not optional and self._take("("):
            if name.text in macros.MACROS:
                return self._macro(name, target)
            return self._call(name, [target, *self._arguments(")")], method=True)
        field = values.field_name(name.text)
        if optional:
            return lambda env: _maybe_select(target(env), field)
        return _Select(target, field)

    def _primary(self) -> Code:
        token = self._next
        if token.kind in ("int", "float", "string"):
            self._at += 1
            return _constant(token.value)
        if self._take("("):
            code = self._expression()
            self._expect(")")
            return code
        if self._take("["):
            return _list(self._arguments("]"))
        if self._take("{"):
            return _map(self._entries())
        self._take(".")
        return self._identifier()

    def _identifier(self) -> Code:
        token = self._name()
        name = token.text
        if name in _LITERALS:
            return _constant(_LITERALS[name])
        if self._take("("):
            return self._has() if name == "has" else self._call(token, self._arguments(")"))
        if name in self._scope:
            if name not in self._scope[self._given :]:
                self.used.add(name)
            return lambda env: env[name]
        if name in functions.TYPES:
            return _constant(values.Type(functions.TYPES[name]))
        if name in functions.NAMESPACES:
            self._expect(".")
            inner = self._name()
            self._expect("(")
            token = inner._replace(text=f"{name}.{inner.text}")
            return self._call(token, self._arguments(")"))
        why = f"undeclared reference to '{name}' (in container '')"
        raise CelSyntaxError(self._text, token.at, why)

    def _arguments(self, end: str) -> list[Code]:
        found: list[Code] = []
        while not self._take(end):
            found.append(self._expression())
            if not self._take(","):
                self._expect(end)
                break
        return found

    def _entries(self) -> list[tuple[Code, Code]]:
        found: list[tuple[Code, Code]] = []
        while not self._take("}"):
            key = self._expression()
            self._expect(":")
            found.append((key, self._expression()))
            if not self._take(","):
                self._expect("}")
                break
        return found

    # Calls.

    def _has(self) -> Code:
        at = self._next.at
        code = self._expression()
        self._expect(")")
        if not isinstance(code, _Select):
            raise CelSyntaxError(self._text, at, "invalid argument to has() macro")
        return lambda env: values.has(code.target(env), code.field)

    def _macro(self, name: Token, target: Code) -> Code:
        variable = self._name().text
        self._expect(",")
        self._scope.append(variable)
        bodies = self._arguments(")")
        self._scope.pop()
        make = macros.MACROS[name.text].get(len(bodies))
        if make is None:
            raise CelSyntaxError(self._text, name.at, f"wrong number of arguments to {name.text}")
        return make(target, variable, *bodies)

    def _call(self, name: Token, arguments: list[Code], *, method: bool = False) -> Code:
        table = functions.METHODS if method else functions.FUNCTIONS
        function = table.get(name.text)
        if function is None:
            why = f"undeclared reference to '{name.text}' (in container '')"
            raise CelSyntaxError(self._text, name.at, why)

        def called(env: Mapping) -> object:
            try:
                return function(*(argument(env) for argument in arguments))
            except (TypeError, AttributeError, KeyError):
                raise values.no_overload() from None

        return called


class _Select:
    """`target.field`, which `has` looks into."""

    def __init__(self, target: Code, field: str) -> None:
        self.target, self.field = target, field

    def __call__(self, env: Mapping) -> object:
        return values.select(self.target(env), self.field)


def _constant(value: object) -> Code:
    return lambda env: value


def _binary(apply: Callable, left: Code, right: Code) -> Code:
    return lambda env: apply(left(env), right(env))


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise values.no_overload()
    return value


def _not(inner: Code) -> Code:
    return lambda env: not _truth(inner(env))


def _choice(condition: Code, then: Code, otherwise: Code) -> Code:
    return lambda env: then(env) if _truth(condition(env)) else otherwise(env)


def _junction(left: Code, right: Code, decides: bool) -> Code:
    """`||` (decided by True) and `&&` (decided by False)."""

    def joined(env: Mapping) -> bool:
        try:
            if _truth(left(env)) is decides:
                return decides
        except CelError as error:
            if _truth(right(env)) is decides:
                return decides
            raise error from None
        return _truth(right(env))

    return joined


def _list(items: list[Code]) -> Code:
    return lambda env: [item(env) for item in items]


def _map(entries: list[tuple[Code, Code]]) -> Code:
    return lambda env: {key(env): value(env) for key, value in entries}


def _maybe_select(value: object, field: str) -> Optional:
    if isinstance(value, Optional):
        return values.select(value, field)
    return Optional(value[field]) if values.has(value, field) else values.NONE


def _maybe_index(code: Code, key: Code) -> Code:
    def indexed(env: Mapping) -> Optional:
        value = code(env)
        if isinstance(value, Optional):
            value = value.value if value.there else {}
        try:
            return Optional(values.index(value, key(env)))
        except CelError:
            return values.NONE

    return indexed
