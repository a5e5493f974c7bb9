"""A parser for the PartiQL statements that the table's sink sends.

    INSERT INTO "table" VALUE {'name': ?, ...}
    UPDATE "table" SET "name"=? ... REMOVE "name" ... WHERE condition
    DELETE FROM "table" WHERE condition

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.html
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

type Item = Mapping[str, Any]
type Condition = Callable[[Item, Sequence[Any]], bool]

_TOKEN = re.compile(
    r"""\s*(?:"(?P<name>[^"]*)"|'(?P<text>[^']*)'|(?P<sign><=|>=|<>|[{}():,?=<>])|(?P<word>\w+))"""
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class SyntaxInStatementError(Exception):
    """The text is not a statement of this grammar. The message says what was expected."""


class Insert(msgspec.Struct, frozen=True):
    """Add an item. The attribute names are in the order of the parameters."""

    table: str
    names: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """The number of parameters."""
        return len(self.names)


class Update(msgspec.Struct, frozen=True):
    """Change an item. The parameters of `sets` come first, then those of the condition."""

    table: str
    sets: tuple[str, ...]
    removes: tuple[str, ...]
    condition: Condition
    keys: Mapping[str, int]  # the attributes compared for equality: name and parameter
    parameters: int


class Delete(msgspec.Struct, frozen=True):
    """Delete an item, if the condition holds."""

    table: str
    condition: Condition
    keys: Mapping[str, int]
    parameters: int


type Statement = Insert | Update | Delete


@cache
def parse(text: str) -> Statement:
    """Parse a statement.

    Raises:
        SyntaxInStatementError: the text does not follow the grammar.
    """
    return _Parser(text).statement()


class _Parser:
    """A recursive descent parser with one token of lookahead."""

    def __init__(self, text: str) -> None:
        self._tokens = [*_tokens(text), ("end", "")]
        self._at = 0
        self._parameters = 0
        self._keys: dict[str, int] = {}

    def statement(self) -> Statement:
        found: Statement
        match self._take("word").upper():
            case "INSERT":
                found = self._insert()
            case "UPDATE":
                found = self._update()
            case "DELETE":
                self._word("FROM")
                table, condition = self._take("name"), self._where()
                found = Delete(table, condition, self._keys, self._parameters)
            case other:
                raise SyntaxInStatementError(f"expected a statement, found {other}")
        self._take("end")
        return found

    def _insert(self) -> Insert:
        self._word("INTO")
        table = self._take("name")
        self._word("VALUE")
        self._sign("{")
        names = []
        while True:
            names.append(self._take("text"))
            self._sign(":")
            self._sign("?")
            if not self._is("sign", ","):
                break
        self._sign("}")
        return Insert(table, tuple(names))

    def _update(self) -> Update:
        table = self._take("name")
        sets, removes = [], []
        while True:
            if self._is("word", "SET"):
                sets.append(self._take("name"))
                self._sign("=")
                self._parameter()
            elif self._is("word", "REMOVE"):
                removes.append(self._take("name"))
            else:
                break
        condition = self._where()
        return Update(table, tuple(sets), tuple(removes), condition, self._keys, self._parameters)

    def _where(self) -> Condition:
        self._word("WHERE")
        return self._or()

    def _or(self) -> Condition:
        one = self._and()
        while self._is("word", "OR"):
            one = _either(one, self._and())
        return one

    def _and(self) -> Condition:
        one = self._term()
        while self._is("word", "AND"):
            one = _both(one, self._term())
        return one

    def _term(self) -> Condition:
        if self._is("sign", "("):
            inner = self._or()
            self._sign(")")
            return inner
        name = self._take("name")
        if self._is("word", "IS"):
            self._word("MISSING")
            return lambda item, _: name not in item
        sign = self._take("sign")
        if sign not in _COMPARE:
            raise SyntaxInStatementError(f"expected a comparison, found {sign}")
        at = self._parameter()
        if sign == "=":
            self._keys[name] = at
        compare = _COMPARE[sign]
        return lambda item, values: name in item and _holds(compare, item[name], values[at])

    def _parameter(self) -> int:
        self._sign("?")
        self._parameters += 1
        return self._parameters - 1

    def _take(self, kind: str) -> str:
        found, value = self._tokens[self._at]
        if found != kind:
            raise SyntaxInStatementError(f"expected a {kind}, found {value or found}")
        self._at += 1
        return value

    def _word(self, word: str) -> None:
        if not self._is("word", word):
            raise SyntaxInStatementError(f"expected {word}, found {self._tokens[self._at][1]}")

    def _sign(self, sign: str) -> None:
        if not self._is("sign", sign):
            raise SyntaxInStatementError(f"expected {sign}, found {self._tokens[self._at][1]}")

    def _is(self, kind: str, value: str) -> bool:
        found, there = self._tokens[self._at]
        if found != kind or there.upper() != value:
            return False
        self._at += 1
        return True


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at, text = 0, text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise SyntaxInStatementError(f"no token at {text[at : at + 10]!r}")
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


def _either(one: Condition, other: Condition) -> Condition:
    return lambda item, values: one(item, values) or other(item, values)


def _both(one: Condition, other: Condition) -> Condition:
    return lambda item, values: one(item, values) and other(item, values)


def _holds(compare: Callable[[Any, Any], bool], stored: Item, given: Item) -> bool:
    """Compare two values. Values of different types are only unequal."""
    ((kind, there),), ((its_kind, here),) = stored.items(), given.items()
    if kind != its_kind:
        return compare is operator.ne
    return compare(Decimal(there), Decimal(here)) if kind == "N" else compare(there, here)
