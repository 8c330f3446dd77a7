import pandas as pd
import pytest

from etl.orders import SUMMARIES, process
from pipeline.etl import InvalidMember, summarize

ORDERS = pd.DataFrame(
    {
        "注文番号": ["A-001", "A-002"],
        "商品": ["りんご", "みかん"],
        "単価": [120, 80],
        "数量": [3, 12],
    }
)


def test_ten_pieces_and_more_cost_a_tenth_less() -> None:
    assert process(ORDERS)["金額"].tolist() == [360, 864]


def test_a_price_that_is_no_number_is_named() -> None:
    with pytest.raises(
        InvalidMember, match='record 1: 単価 must be a number; found the text "free"'
    ):
        process(ORDERS.assign(単価=[120, "free"]))


def test_products_are_added_up() -> None:
    assert summarize(process(ORDERS), SUMMARIES[0]).values.tolist() == [
        ["みかん", 12, 864, 72],
        ["りんご", 3, 360, 120],
        ["合計", 15, 1224, 81.6],
    ]


def test_small_orders_stand_beside_large_ones() -> None:
    found = summarize(process(ORDERS), SUMMARIES[1])
    assert found.columns.tolist() == ["商品", "10個以上", "10個未満", "合計"]
    assert found.fillna(0).values.tolist() == [
        ["みかん", 864, 0, 864],
        ["りんご", 0, 360, 360],
        ["合計", 864, 360, 1224],
    ]
