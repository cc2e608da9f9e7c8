"""Conditions as text, read into a tree of operations from a fixed list. Nothing in the text is ever run as code.

condition  = conjunction { "or" conjunction }
conjunction = negation { "and" negation }
negation   = "not" negation | comparison
comparison = sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
sum        = product { ("+" | "-") product }
product    = factor { ("*" | "/") factor }
factor     = "-" factor | number | series | function "(" arguments ")" | "(" condition ")"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isinf
from typing import Any, NamedTuple, NoReturn

from shared.misread import Misread, Place
from shared.strategies.rule.functions import FUNCTIONS, KEYWORDS, SERIES, SIGNS, Function, Kind, Setting

TEXT_MAX_CHARS = 2_000  # which bounds the tokens too
DEPTH_MAX = 20
NODES_MAX = 200
PERIODS_MAX_BARS = 20_000  # of one text together: some indicators look at each bar of their window for every bar

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
WORDS = tuple(KEYWORDS)

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>[<>=!]=|[-+*/(),<>])"
    r"|(?P<space>[ \t\r\n]+)"
)
_INSTEAD = {"=": "==", "&": "and", "|": "or", "!": "not", "[": "shift(x, bars)"}
_SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: `name` is a series, a function, an operator (`negative` is the minus of one) or `number`.

    `parts` are what it works on; `settings` a function's literal arguments, defaults filled in, or a number's value.
    Texts that say the same have equal trees. A tree is never deeper than `NODES_MAX`.
    """

    name: str
    parts: tuple[Node, ...] = ()
    settings: tuple[float, ...] = ()

    @property
    def kind(self) -> Kind:
        if self.name in FUNCTIONS:
            return FUNCTIONS[self.name].returns
        return "condition" if self.name in COMPARISONS or self.name in WORDS else "number"


def parse(text: str) -> Node:
    """The tree of a condition. Raises `Misread` with the position, what was expected and what was found."""
    if len(text) > TEXT_MAX_CHARS:
        message = f"has {len(text):,} characters; at most {TEXT_MAX_CHARS:,} are read"
        raise Misread(message, Place(TEXT_MAX_CHARS, len(text)))
    return _Parser(_tokens(text)).whole()


def chart_name(node: Node) -> str:
    """What a function is called on a chart: `sma 10` where it is of the close or of the bars, else `sma(high, 10)`."""
    if node.settings and node.parts in ((), (_CLOSE,)):
        return " ".join([node.name.replace("_", " "), *map(_setting_text, node.settings)])
    return _text(node)


def _text(node: Node) -> str:
    if node.name == "number":
        return _setting_text(node.settings[0])
    if node.name in FUNCTIONS:
        return f"{node.name}({', '.join([*map(_text, node.parts), *map(_setting_text, node.settings)])})"
    if node.name == "negative":
        return f"-{_text(node.parts[0])}"
    return f"({f' {node.name} '.join(map(_text, node.parts))})" if node.parts else node.name


def _setting_text(value: float) -> str:
    return repr(value).removesuffix(".0")


def describe(parameters: Sequence[str]) -> dict[str, list[Any]]:
    """All that may stand in a text, as it is shown to users; `parameters` are those that hold such texts."""
    return {
        "parameters": list(parameters),
        "keywords": [{"name": name, "description": text} for name, text in KEYWORDS.items()],
        "operators": [{"name": name, "description": text} for name, text in SIGNS.items()],
        "series": [{"name": one.name, "description": one.description} for one in SERIES.values()],
        "functions": [
            {
                "name": one.name,
                "signature": one.signature,
                "returns": one.returns,
                "arguments": one.arguments,
                "description": one.description,
            }
            for one in FUNCTIONS.values()
        ],
    }


_CLOSE = Node("close")


class _Token(NamedTuple):
    kind: str
    text: str
    at: int

    @property
    def end(self) -> int:
        return self.at + len(self.text)

    @property
    def shown(self) -> str:
        if self.kind == "end":
            return "the end"
        return f'"{self.text}"' if len(self.text) <= _SHOWN_CHARS else f'"{self.text[: _SHOWN_CHARS - 3]}..."'


def _tokens(text: str) -> list[_Token]:
    """Names, numbers and signs with their positions from 1, and an end."""
    found: list[_Token] = []
    index = 0
    while index < len(text):
        match = _TOKEN.match(text, index)
        if match is None:
            character = text[index]
            remedy = f"; use {_INSTEAD[character]}" if character in _INSTEAD else ""
            expected = "expected names, numbers, ( ) , + - * / and comparisons"
            near = [_INSTEAD[character]] if character in _INSTEAD else []
            _refuse(index + 1, index + 2, f"{expected}, found {character!a}{remedy}", near)
        if match.lastgroup != "space":
            found.append(_Token(str(match.lastgroup), match.group(), index + 1))
        index = match.end()
    return [*found, _Token("end", "", len(text) + 1)]


def _refuse(at: int, end: int, message: str, near: Sequence[str] = ()) -> NoReturn:
    """Both counted from 1, as people do; the character at `end` is the first that is right again."""
    raise Misread(f"at character {at}: {message}", Place(at - 1, end - 1, tuple(near)))


class _Parser:
    """Recursive descent; `DEPTH_MAX` bounds its own recursion, `NODES_MAX` that of whoever walks the tree."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._index = 0
        self._depth = 0
        self._nodes = 0
        self._periods_bars = 0

    def whole(self) -> Node:
        node = self._condition()
        token = self._token
        if token.kind != "end":
            if token.text == ")":
                self._refuse('expected the end, found ")" that nothing opened')
            small = [token.text.lower()] if token.text.lower() in WORDS else []
            remedy = "; write it in small letters" if small else ""
            self._refuse(f'expected an operator, "and", "or" or the end, found {token.shown}{remedy}', small)
        self._demand(node, "condition", self._tokens[0].at, "the whole text")
        return node

    # What is read next

    @property
    def _token(self) -> _Token:
        return self._tokens[self._index]

    def _sees(self, *texts: str) -> bool:
        return self._token.text in texts

    def _refuse(self, message: str, near: Sequence[str] = ()) -> NoReturn:
        """Because of what is read next."""
        _refuse(self._token.at, self._token.end, message, near)

    def _refuse_since(self, at: int, message: str) -> NoReturn:
        """Because of all that was read from there on."""
        _refuse(at, self._tokens[self._index - 1].end, message)

    def _take(self) -> _Token:
        token = self._token
        self._index += 1
        return token

    def _take_closing(self, of: str) -> None:
        if not self._sees(")"):
            self._refuse(f'expected ")" to close {of}, found {self._token.shown}')
        self._take()

    # What is made of it

    def _node(self, at: int, name: str, parts: tuple[Node, ...] = (), settings: tuple[float, ...] = ()) -> Node:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            self._refuse_since(at, f"expected the end, found more than {NODES_MAX} numbers, names and operators")
        return Node(name, parts, settings)

    def _nested(self, read: Callable[[], Node]) -> Node:
        if self._depth == DEPTH_MAX:
            self._refuse(f"expected at most {DEPTH_MAX} levels of nesting, found one more")
        self._depth += 1
        node = read()
        self._depth -= 1
        return node

    def _demand(self, node: Node, kind: Kind, at: int, where: str) -> None:
        if node.kind != kind:
            example = " such as close > open" if kind == "condition" else ""
            self._refuse_since(at, f"expected a {kind}{example} for {where}, found a {node.kind}")

    # The grammar, loosest first

    def _condition(self) -> Node:
        return self._row(("or",), self._conjunction, "condition")

    def _conjunction(self) -> Node:
        return self._row(("and",), self._negation, "condition")

    def _negation(self) -> Node:
        return self._prefixed("not", "not", self._negation, "condition") if self._sees("not") else self._comparison()

    def _comparison(self) -> Node:
        at = self._token.at
        left = self._sum()
        if not self._sees(*COMPARISONS):
            return left
        sign = self._token
        self._demand(left, "number", at, f'the left of "{sign.text}"')
        self._take()
        right_at = self._token.at
        right = self._sum()
        self._demand(right, "number", right_at, f'the right of "{sign.text}"')
        if self._sees(*COMPARISONS):
            self._refuse(f"comparisons do not chain, found {self._token.shown}; write a < b and b < c")
        return self._node(sign.at, sign.text, (left, right))

    def _sum(self) -> Node:
        return self._row(("+", "-"), self._product, "number")

    def _product(self) -> Node:
        return self._row(("*", "/"), self._factor, "number")

    def _factor(self) -> Node:
        return self._prefixed("-", "negative", self._factor, "number") if self._sees("-") else self._operand()

    def _row(self, signs: tuple[str, ...], read: Callable[[], Node], kind: Kind) -> Node:
        """Operands of one kind between operators of one rank; the left ones are joined first."""
        at = self._token.at
        node = read()
        while self._sees(*signs):
            sign = self._token
            self._demand(node, kind, at, f'the left of "{sign.text}"')
            self._take()
            right_at = self._token.at
            right = read()
            self._demand(right, kind, right_at, f'the right of "{sign.text}"')
            node = self._node(sign.at, sign.text, (node, right))
        return node

    def _prefixed(self, sign: str, name: str, read: Callable[[], Node], kind: Kind) -> Node:
        taken = self._take()
        at = self._token.at
        node = self._nested(read)
        self._demand(node, kind, at, f'the right of "{sign}"')
        return self._node(taken.at, name, (node,))

    def _operand(self) -> Node:
        token = self._token
        if token.kind == "number":
            value = float(self._take().text)
            if isinf(value):
                self._refuse_since(token.at, f"expected a number below 1.8e308, found {token.shown}")
            return self._node(token.at, "number", settings=(value,))
        if token.text == "(":
            self._take()
            node = self._nested(self._condition)
            self._take_closing(f"the one at character {token.at}")
            return node
        if token.kind == "name" and token.text not in WORDS:
            return self._named()
        return self._refuse(f'expected a number, a series, a function, "-" or "(", found {token.shown}')

    def _named(self) -> Node:
        name = self._take()
        called = self._sees("(")
        if called and name.text in FUNCTIONS:
            self._take()
            return self._nested(lambda: self._call(FUNCTIONS[name.text], name.at))
        if name.text in FUNCTIONS:
            self._refuse_since(name.at, f"{name.text} is a function, expected {FUNCTIONS[name.text].signature}")
        if called and name.text in SERIES:
            self._refuse_since(name.at, f"{name.text} is a series, not a function; leave the parentheses out")
        if name.text in SERIES:
            return self._node(name.at, name.text)
        there_are = FUNCTIONS if called else SERIES
        near = get_close_matches(name.text[:_SHOWN_CHARS].lower(), [*FUNCTIONS, *SERIES, *WORDS])
        guess = f"; did you mean {near[0]}?" if near else ";"
        kind = "functions" if called else "series"
        expected = f"expected one of the {kind}, found {name.shown}{guess} {kind} are {', '.join(there_are)}"
        return _refuse(name.at, name.end, expected, near)

    def _call(self, function: Function, at: int) -> Node:
        """The arguments and the closing parenthesis of a function whose opening one is taken."""
        parts: list[Node] = []
        settings: list[float] = []
        for number in function.numbers:
            self._next_argument(function, number, first=not parts)
            argument_at = self._token.at
            part = self._condition()
            self._demand(part, "number", argument_at, f"{number} of {function.signature}")
            parts.append(part)
        for setting in function.settings:
            if self._sees(")") and setting.default is not None:
                settings.append(setting.default)
                continue
            self._next_argument(function, setting.name, first=not parts and not settings)
            settings.append(self._setting(function, setting))
        if self._sees(","):
            self._refuse(f'expected ")", found ","; {function.signature} takes no more')
        self._take_closing(function.signature)
        self._check_settings(function, settings, at)
        return self._node(at, function.name, tuple(parts), tuple(settings))

    def _next_argument(self, function: Function, name: str, *, first: bool) -> None:
        """Takes the comma before an argument; there must be something after it."""
        if self._sees(")") or self._token.kind == "end":
            self._refuse(f"expected {name} of {function.signature}, found {self._token.shown}")
        if not first:
            if not self._sees(","):
                self._refuse(f'expected "," before {name} of {function.signature}, found {self._token.shown}')
            self._take()

    def _setting(self, function: Function, setting: Setting) -> float:
        token = self._token
        fits = token.kind == "number" and (token.text.isdigit() or not setting.whole)
        if not fits or not setting.least <= float(token.text) <= setting.most:
            remedy = "; nothing looks at later bars" if token.text == "-" and setting.whole else ""
            self._refuse(
                f"expected {setting.demand} for {setting.name} of {function.signature}, found {token.shown}{remedy}",
            )
        return float(self._take().text)

    def _check_settings(self, function: Function, settings: list[float], at: int) -> None:
        by_name = {one.name: value for one, value in zip(function.settings, settings, strict=True)}
        if "fast" in by_name and by_name["fast"] >= by_name["slow"]:
            found = f"fast {by_name['fast']:g} and slow {by_name['slow']:g}"
            self._refuse_since(at, f"expected fast below slow in {function.signature}, found {found}")
        self._periods_bars += sum(int(by_name[one.name]) for one in function.settings if one.whole)
        if self._periods_bars > PERIODS_MAX_BARS:
            self._refuse_since(
                at, f"expected at most {PERIODS_MAX_BARS:,} bars in all periods together, found more up to here"
            )
