"""Makes customers.csv: invented people with Chinese names, and rows at fault.

python -m tools.demo.make_customers
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

from node.carrier.numbers import parse_number

HEADER: Final = ("姓名", "手机", "单位", "部门", "职务", "备注")
GOOD_ROWS: Final = 208
SEED: Final = 20_26
SURNAMES: Final = (
    *"王李张刘陈杨黄赵周吴徐孙马朱胡郭何林罗高郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟",
    *"谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤",
    *("欧阳", "司马", "诸葛", "上官", "夏侯"),
)
GIVEN: Final = (
    *"伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红波辉峰宇浩然子涵梓轩雨欣怡博文俊熙思远嘉诚晓彤志建国海燕",
    *"春梅雪莹若曦景行知秋云舒",
)
CITIES: Final = (
    "北京",
    "上海",
    "广州",
    "深圳",
    "杭州",
    "成都",
    "武汉",
    "南京",
    "西安",
    "苏州",
    "青岛",
    "长沙",
    "郑州",
    "合肥",
    "昆明",
    "呼和浩特",
)
TRADES: Final = ("东方", "华信", "远航", "盛世", "中科", "天元", "恒通", "金桥", "联创", "博雅", "启明", "瑞丰")
KINDS: Final = (
    "科技有限公司",
    "机械制造股份有限公司",
    "设计院",
    "人民医院",
    "第一中学",
    "农业合作社",
    "物流集团",
    "银行",
    "环保工程有限公司",
    "水务局",
)
DEPARTMENTS: Final = (
    "采购部",
    "信息中心",
    "财务部",
    "总经理办公室",
    "生产技术部",
    "市场部",
    "设备科",
    "教务处",
    "法务部",
)
POSITIONS: Final = (
    "总经理",
    "副总经理",
    "部门主管",
    "工程师",
    "采购经理",
    "主任",
    "科长",
    "会计",
    "项目经理",
    "院长助理",
)
NOTES: Final = ("", "", "", "", "老客户", "上午联系", "请先发短信", "经朋友介绍,尚未见面", "合同十月到期", "“重点”项目")
PREFIXES: Final = (
    "133",
    "135",
    "136",
    "137",
    "138",
    "139",
    "150",
    "151",
    "152",
    "158",
    "159",
    "180",
    "186",
    "187",
    "188",
    "189",
)


def main() -> None:
    rows, faults = make_rows(random.Random(SEED))
    path = Path(__file__).with_name("customers.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADER, *rows])
    path.with_suffix(".faults.json").write_text(json.dumps(faults, indent=2) + "\n", encoding="utf-8")


def make_rows(chance: random.Random) -> tuple[list[list[str]], dict[int, str]]:
    """The rows below the header, and row number -> code for those at fault."""
    rows: list[list[str]] = []
    faults: dict[int, str] = {}
    seen: set[str] = set()
    troubles = dict(zip(sorted(chance.sample(range(12, GOOD_ROWS), len(TROUBLES))), TROUBLES, strict=True))
    for place in range(GOOD_ROWS):
        rows.append(make_row(chance, seen))
        if place in troubles:
            code, spoil = troubles[place]
            rows.append(spoil(make_row(chance, seen), rows[-1]))
            faults[len(rows) + 1] = code
    return rows, faults


def make_row(chance: random.Random, seen: set[str]) -> list[str]:
    name = chance.choice(SURNAMES) + "".join(chance.sample(GIVEN, chance.choice((1, 2, 2, 2))))
    organisation = chance.choice(CITIES) + chance.choice(TRADES) + chance.choice(KINDS)
    rest = [chance.choice(DEPARTMENTS), chance.choice(POSITIONS), chance.choice(NOTES)]
    return [name, _number(chance, seen), organisation, *rest]


def _number(chance: random.Random, seen: set[str]) -> str:
    """A number that nobody in the file has yet, in one of the forms that people write."""
    while True:
        first, middle, last = (
            chance.choice(PREFIXES),
            f"{chance.randrange(10_000):04}",
            f"{chance.randrange(10_000):04}",
        )
        mobile = (
            f"+86{first}{middle}{last}",
            f"{first}{middle}{last}",
            f"{first} {middle} {last}",
            f"{first}-{middle}-{last}",
            f"+86 {first} {middle} {last}",
        )
        others = (
            f"010-6{middle[:3]}{last}", f"(021) 6{middle[:3]} {last}", f"+852 9{middle[:3]} {last}",
            f"{first}{middle}{last}".translate(_FULL_WIDTH),
        )  # fmt: skip
        text = chance.choice(mobile if chance.random() < 0.9 else others)
        number = parse_number(text)
        if number not in seen:
            seen.add(number)
            return text


_FULL_WIDTH: Final = {ord("0") + digit: ord("\uff10") + digit for digit in range(10)}  # fmt: skip


Spoil = Callable[[list[str], list[str]], list[str]]
"""From a row and the one before it to what is written in its place."""


def _with(place: int, text: str) -> Spoil:
    return lambda row, _before: [*row[:place], text, *row[place + 1 :]]


TROUBLES: Final[tuple[tuple[str, Spoil], ...]] = (
    ("phone.malformed", _with(1, "见名片")),
    ("import.value_missing", _with(0, "")),
    ("phone.unassigned", _with(1, "1380013800")),
    ("import.duplicate_row", lambda _row, before: list(before)),
    ("import.value_too_long", _with(5, "说来话长。" * 1_100)),
    ("import.value_missing", _with(1, " ")),
    ("import.row_width", lambda row, _before: [*row, "多出的一格"]),
    ("phone.no_identifier", lambda row, _before: row),
    ("phone.impossible", _with(1, "+999 1234567")),
    ("import.character", _with(4, "经\x07理")),
    ("phone.malformed", _with(1, "13800138000转8")),
    ("phone.no_identifier", lambda row, _before: row),
)
"""Code, and what is done to a row (given the one before it) so that it is left out with that code."""


if __name__ == "__main__":
    main()
