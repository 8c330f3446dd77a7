"""The tables of a bench, the same ones every time: JSON arrays with a record a line."""

import os
from itertools import chain
from pathlib import Path
from random import Random

from checks.bench.measure import DATA
from utils import write

SEED = 1
PRODUCTS = 2_000
ORDERS_OF_A_CUSTOMER = 5  # on average; each has one


def source(name: str, rows: int) -> Path:
    """The file of so many members or orders, made when first asked for."""
    path = DATA / f"{name}-{rows}-{SEED}.json"
    if not path.exists():
        DATA.mkdir(exist_ok=True)
        partial = path.with_suffix(".new")
        if name == "members":
            write(rows, SEED, partial)
        else:
            lines = ",\n".join(orders(rows))
            partial.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        os.replace(partial, path)
    return path


def orders(rows: int) -> list[str]:
    """Orders of a fifth as many customers, in no order, as JSON.

    Written by `json.dumps`, five million would take longer than their test.
    """
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
