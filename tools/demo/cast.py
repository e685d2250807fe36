"""Who is in the story. Names and numbers are invented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ADMINISTRATOR: Final = "admin"


@dataclass(frozen=True, slots=True)
class Person:
    """`id` is the work id, which stands on the chain; `name` is a personal value and does not."""

    id: str
    name: str
    department: str
    role: str


CAST: Final = (
    Person("li-wei", "李伟", "sales", "operator"),
    Person("zhao-min", "赵敏", "finance", "operator"),
    Person("chen-jie", "陈洁", "process", "operator"),
    Person("liu-yang", "刘洋", "technical", "operator"),
    Person("sun-li", "孙丽", "after_sales", "operator"),
    Person("he-lin", "何琳", "administration", "operator"),
    Person("shen-ji", "沈稷", "finance", "auditor"),
)
"""Somebody of every department, and an auditor, who is from finance."""
