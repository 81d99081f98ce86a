"""What it costs to live in a place: the payment for its forecast price, the income for that, and their interval."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from housing_assets.core.evaluation.payments import Loan
from housing_dashboard import data, figures, shell
from housing_dashboard.data import Place

_INCOME = "Per Capita Income"


def costs(place: Place, row: Mapping[str, Any]) -> None:
    """Monthly payment and income for the price of a place.

    Args:
        place: whose.
        row: its forecast or prediction: `predicted_price`, `predicted_low`, `predicted_high`, `date`.
    """
    shell.section("What it costs to live here")
    loan = _loan()
    price, low, high = (row[name] for name in ("predicted_price", "predicted_low", "predicted_high"))
    payment, income = loan.payment(price), loan.income(price)
    with st.container(key="figures-living"):
        cells = st.columns(3)
    shell.metric(cells[0], "Payment a month", f"${payment:,.0f}", border=True)
    shell.metric(cells[1], "Income a year for it", f"${income:,.0f}", border=True)
    earned = _income(place)
    ratio = f"{price / earned:.1f}" if earned else "not known"
    shell.metric(cells[2], "Price to income a head", ratio, border=True)
    sentence = (
        f"For {row['predicted_price']:,.0f} dollars in {row['date']:%B %Y}, of which {100 - loan.down:g}% are borrowed."
    )
    if low is not None:
        ends = [(f"${loan.payment(p):,.0f}", f"${loan.income(p):,.0f}") for p in (low, high)]
        sentence += f" Over the 90% interval of the price the payment is {ends[0][0]} to {ends[1][0]} a month, and the "
        sentence += f"income {ends[0][1]} to {ends[1][1]} a year."
    sentence += " Principal and interest alone: taxes, insurance and upkeep come on top."
    if earned is None:
        sentence += " The panel has no income of the census for this place."
    elif low is not None:
        sentence += f" The census counts ${earned:,.0f} of income a head and year here: the price is "
        sentence += f"{low / earned:.1f} to {high / earned:.1f} times that."
    st.markdown(sentence.replace("$", r"\$"))


def _loan() -> Loan:
    """The loan that is chosen; the rate is an input, since the dashboard asks nobody outside."""
    one, two, three, four = st.columns(4)
    down = one.number_input("Down payment, %", 0.0, 100.0, 20.0, 1.0, key="down")
    rate = two.number_input("Rate a year, %", 0.0, 30.0, 6.5, 0.05, key="rate")
    years = three.number_input("Years", 1, 50, 30, 1, key="years")
    share = four.number_input("Share of income, %", 1.0, 100.0, 30.0, 1.0, key="share")
    return Loan(float(down), float(rate), int(years), float(share))


def _income(place: Place) -> float | None:
    """Income a head and year as the newest month of the panel has it; None where it has none."""
    months = data.months_of("cleaned")
    incomes = data.incomes(months[-1]) if months else None
    if incomes is None:
        return None
    if place.kind == data.ZIP:
        own = incomes.filter(zipcode=place.name)
    else:
        own = incomes if place.kind == data.NATION else incomes.filter(city_full=place.name)
    return figures.weighted_or_none(own.drop_nulls(_INCOME), _INCOME)
