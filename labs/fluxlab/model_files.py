"""YAML files that describe something, read into pydantic models; errors name file, line and the allowed names."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import UnionType
from typing import TypeAlias, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .documents import check_nesting
from .errors import UsageError

Model = TypeVar("Model", bound=BaseModel)
Loc: TypeAlias = tuple[int | str, ...]
Complaint: TypeAlias = tuple[Loc, str]
"""Where something is wrong, and what."""


def read_model(
    file: Path, model: type[Model], *, what: str, check: Callable[[Model], Iterable[Complaint]] = lambda _: ()
) -> Model:
    """The content of a file, which is `what` (`a lab file`). Raises UsageError, also for what `check` complains of."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read as {what}", facts=[str(error)]) from None
    try:
        check_nesting(text)
        tree = yaml.compose(text, Loader=yaml.CSafeLoader)
        data = yaml.load(text, Loader=yaml.CSafeLoader)  # the safe loader, in C
    except (yaml.YAMLError, ValueError) as error:  # ValueError: what looks like a date and is none
        raise UsageError(f"{file}: no valid YAML", facts=[str(error)]) from None
    unknown = f"{file}: not {what} that fluxlab understands"
    if doubles := [f"{file}:{line}: {place}: is there twice" for place, line in _doubles(tree)]:
        raise UsageError(unknown, facts=doubles)
    try:
        found = model.model_validate({} if data is None else data)
    except ValidationError as error:
        facts = [_complaint(file, tree, model, one) for one in error.errors()]
        raise UsageError(unknown, facts=facts) from None
    if complaints := [_told(file, tree, loc, message) for loc, message in check(found)]:
        raise UsageError(unknown, facts=complaints)
    return found


def _complaint(file: Path, tree: yaml.Node | None, model: type[BaseModel], error: ErrorDetails) -> str:
    loc, message = error["loc"], error["msg"]
    if error["type"] == "extra_forbidden":
        message = f"unknown field; allowed here: {', '.join(_allowed(model, loc[:-1]))}"
    return _told(file, tree, loc, message.removeprefix("Value error, "))


def _told(file: Path, tree: yaml.Node | None, loc: Loc, message: str) -> str:
    return f"{file}:{_line(tree, loc)}: {'.'.join(map(str, loc)) or 'the whole file'}: {message}"


def _doubles(root: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """Keys that a mapping has twice, of which YAML would silently take the last: their places and lines."""
    waiting, seen = [("", root)], set()
    while waiting:
        place, node = waiting.pop()
        if node is None or id(node) in seen:  # an alias leads to a node again, even from within
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend((f"{place}{number}.", child) for number, child in enumerate(node.value))
        elif isinstance(node, yaml.MappingNode):
            known: set[str] = set()
            for key, value in node.value:
                if key.value in known:
                    yield f"{place}{key.value}", key.start_mark.line + 1
                known.add(key.value)
                waiting.append((f"{place}{key.value}.", value))


def _line(node: yaml.Node | None, loc: Loc) -> int:
    line = node.start_mark.line + 1 if node else 1
    for step in loc:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == step]
            if not pairs:
                break
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line


def _allowed(model: type[BaseModel], loc: Loc) -> list[str]:
    """The names that are allowed at a place, by the types of the fields that lead there."""
    for step in loc:
        field = model.model_fields.get(str(step)) if isinstance(step, str) else None
        if found := field and _model_in(field.annotation):
            model = found
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, BaseModel):
        return annotation
    inner: tuple[object, ...] = get_args(annotation)
    if isinstance(annotation, UnionType):
        inner = annotation.__args__
    return next(filter(None, map(_model_in, inner)), None)
