"""Data classes that cost nothing at start-up: those of the standard library compile code of their own for each class.

The forty that one look loads were a fifth of it: 178 of 889 million instructions, 9 as records. To a type checker a
record is a data class, and both are used alike; in modules that a look does not load, a data class does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["field", "record", "replace"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from dataclasses import field, replace
else:

    class field:
        """A default that is made anew for each record, or one that is not shown."""

        def __init__(self, *, default=None, default_factory=None, repr=True):
            self.make = default_factory or (lambda: default)
            self.shown = repr

    def record(cls=None, *, frozen=False, eq=True):
        """Class decorator, see dataclasses.dataclass. No inheritance, no __post_init__."""
        if cls is None:
            return lambda cls: record(cls, frozen=frozen, eq=eq)
        names = tuple(cls.__annotations__)
        special = {name: cls.__dict__[name] for name in names if isinstance(cls.__dict__.get(name), field)}
        plain = {name: cls.__dict__[name] for name in names if name in cls.__dict__ and name not in special}
        known, shown = set(names), [name for name in names if name not in special or special[name].shown]

        def init(self, *values, **given):
            members = self.__dict__
            members.update(plain)
            for name, default in special.items():
                members[name] = default.make()
            if values:
                if len(values) > len(names) or not given.keys().isdisjoint(names[: len(values)]):
                    raise TypeError(f"{cls.__name__}: too many values")
                members.update(zip(names, values, strict=False))
            members.update(given)
            if members.keys() != known:
                raise TypeError(f"{cls.__name__}: unknown or missing: {sorted(members.keys() ^ known)}")

        def frozen_setattr(self, name, *value):
            raise AttributeError(f"{cls.__name__}.{name} cannot be changed")

        def equal(self, other):
            if type(other) is not cls:
                return NotImplemented
            return all(getattr(self, name) == getattr(other, name) for name in names)

        methods = {
            "__init__": init,
            "__repr__": lambda self: f"{cls.__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in shown)})",
        }
        if eq:
            methods["__eq__"] = equal
            methods["__hash__"] = (lambda self: hash(tuple(getattr(self, n) for n in names))) if frozen else None
        if frozen:
            methods["__setattr__"] = methods["__delattr__"] = frozen_setattr
        for name, method in methods.items():
            if name not in cls.__dict__ or name == "__hash__":
                setattr(cls, name, method)
        return cls

    def replace(one, **members):
        """A copy with some members replaced, as dataclasses.replace."""
        return type(one)(**{name: getattr(one, name) for name in type(one).__annotations__} | members)
