"""The tables of a bench, the same ones every time: JSON arrays with a record a line."""

import argparse
import os
from itertools import chain
from pathlib import Path
from random import Random

from checks.bench.figures import DATA
from utils import write

SEED = 1
PRODUCTS = 2_000
ORDERS_OF_A_CUSTOMER = 5  # on average; each has one


def members_file(rows: int) -> Path:
    path = DATA / f"members-{rows}-{SEED}.json"
    if not path.exists():
        DATA.mkdir(exist_ok=True)
        write(rows, SEED, path)
    return path


def orders_file(rows: int) -> Path:
    """Orders of a fifth as many customers, in no order."""
    path = DATA / f"orders-{rows}-{SEED}.json"
    if not path.exists():
        DATA.mkdir(exist_ok=True)
        partial = path.with_suffix(".part")
        with partial.open("w", encoding="utf-8") as file:
            lines = ",\n".join(orders(rows))
            file.write(f"[\n{lines}\n]\n")
        os.replace(partial, path)
    return path


def orders(rows: int) -> list[str]:
    """As JSON: written by `json.dumps`, five million would take longer than their test."""
    random = Random(SEED)
    customers = range(rows // ORDERS_OF_A_CUSTOMER)
    buyers = [*chain(customers, random.choices(customers, k=rows - len(customers)))]
    random.shuffle(buyers)
    products = random.choices(range(PRODUCTS), k=rows)
    amounts = random.choices(range(100, 100_001), k=rows)
    return [
        f'{{"注文番号": "A{number:07}", "顧客": "C{buyer:07}", "商品": "品目 {product}", "金額": {amount}}}'
        for number, (buyer, product, amount) in enumerate(zip(buyers, products, amounts))
    ]


def positive(text: str) -> int:
    """A number of rows or runs, as it was typed."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1; found {text!r}")
    return int(text)
