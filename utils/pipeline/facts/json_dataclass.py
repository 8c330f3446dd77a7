"""Dataclasses written as JSON and read back, their fields by their types."""

import json
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Self, get_args, get_origin, get_type_hints


class Json:
    """A dataclass as JSON."""

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()  # type: ignore[call-overload]  # a dataclass

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """
        Raises:
            ValueError: it is not what `to_json` writes.
        """
        return cls.of(json.loads(data))

    @classmethod
    def of(cls, fields: Any) -> Self:
        """
        Raises:
            ValueError: they are not the fields of such a dataclass.
        """
        try:
            made: Self = reader(cls)(fields)  # type: ignore[arg-type]  # a class has a hash
        except (TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"must be {cls.__name__} as JSON; found {error}") from None
        return made


@cache
def reader(kind: Any) -> Callable[[Any], Any]:
    """What makes a value of this type of one of JSON, which has no other types within it."""
    origin, inner = get_origin(kind), [reader(each) for each in get_args(kind)]
    if is_dataclass(kind):
        types = {name: reader(each) for name, each in get_type_hints(kind).items()}
        make: Any = kind
        return lambda fields: make(
            **{name: types[name](fields[name]) for name in types.keys() & fields.keys()}
        )
    if origin is list:
        return lambda value: [inner[0](each) for each in value]
    if origin is dict:
        of = get_args(kind)[0]  # in JSON a text
        return lambda value: {of(key): inner[1](each) for key, each in value.items()}
    if origin is tuple:
        return lambda value: tuple(read(each) for read, each in zip(inner, value, strict=True))
    if origin is UnionType:  # with None
        return lambda value: None if value is None else inner[0](value)
    return lambda value: value
