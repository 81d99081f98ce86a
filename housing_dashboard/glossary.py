"""The terms of the pages, each in a sentence or two that needs no other, and the labels that stand for them."""

import re
from functools import cache

TERMS: dict[str, str] = {
    "actual": "The price that the publisher gives for the month, as the newest vintage has it.",
    "bias": "The mean error in percent with its sign: below 0 where predictions are too low on the whole.",
    "champion": "The model whose predictions are published. A new one takes its place only if it is surely better on "
    "months that neither was fitted on.",
    "eval": "Months on which models are chosen. They come after the months that models are fitted on.",
    "forecast": "The price that is expected so many months after the last known one.",
    "holdout": "Months on which no model was fitted or chosen: errors there are those to expect.",
    "income needed": "Income a year, before tax, of which the payment is the chosen share.",
    "index": "A price in percent of that of a chosen month, which is 100, so that dear and cheap places compare.",
    "interval": "A range that is meant to contain the price in 9 of 10 cases. How often it did is shown beside it.",
    "interval coverage": "Percent of actual prices inside their 90% interval. The target is 90%.",
    "last known price": "The newest price that was known when the forecast was made.",
    "mae": "Mean absolute error: by how many US dollars predictions are off on average, too high or too low.",
    "mean % error": "By how many percent of the actual price predictions are off on average, too high or too low.",
    "median % error": "Half of the predictions are off by less, in percent of the actual price.",
    "metro": "A metropolitan or micropolitan area of the Census. Its figures are means of its zips, weighted by the "
    "people who live in each.",
    "months ahead": "How many months after the last known price a forecast is of.",
    "naive": "A rule that needs no model, such as “nothing changes”. A model that is not better is not worth having.",
    "origin": "The last month whose prices a forecast knows.",
    "payment": "Principal and interest of the loan a month. Taxes, insurance and upkeep come on top.",
    "prediction": "The price of a month, estimated from what was known the month before.",
    "price": "The typical home's price in the zip, as the source publishes it, in US dollars.",
    "price to income": "The price divided by income a head and year, as the census counts it.",
    "rmse": "Root of the mean squared error in US dollars. It weighs large errors more than the MAE does.",
    "regret": "The error of what was published less that of the naive baseline that turned out best, which is known "
    "only afterwards. Below 0: what was published was better than all of them.",
    "revision": "What a newer vintage changed of months that were published before. Publishers restate the past.",
    "skill": "By how many percent the error is lower than that of a naive baseline. Below 0 the baseline is better.",
    "train": "Months that models are fitted on. They come before those of eval and of holdout.",
    "vintage": "What a publisher's file said on the day that it was read, kept as it was.",
    "within": "Percent of predictions that are off by no more than so many percent.",
}

ALIASES: dict[str, str] = {
    "100 in": "index",
    "90% interval": "interval",
    "error reduction": "skill",
    "forecast from": "origin",
    "income a year": "income needed",
    "inside the interval": "interval coverage",
    "known": "last known price",
    "live prediction": "prediction",
    "mean error": "mean % error",
    "predicted": "prediction",
    "reduction": "skill",
    "region": "metro",
    "trained on": "train",
    "typical error": "median % error",
    "version": "champion",
    "with its history": "prediction",
}
"""Other words that labels begin with, and their terms."""
_BEGINNINGS = sorted({**dict(zip(TERMS, TERMS, strict=True)), **ALIASES}.items(), key=lambda item: -len(item[0]))


@cache
def help_for(label: str) -> str | None:
    """What the glossary says of the term that a label begins with; None where it begins with none."""
    text = label.casefold()
    for beginning, term in _BEGINNINGS:
        if re.match(rf"{re.escape(beginning)}\b(?![\w_])", text):
            return TERMS[term]
    return None
