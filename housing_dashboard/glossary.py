"""The terms of the pages, each in a sentence or two that needs no other."""

TERMS: dict[str, str] = {
    "actual": "The price that the publisher gives for the month, as the newest vintage has it.",
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
    "naive": "A rule that needs no model, such as “nothing changes”. A model that is not better is not worth having.",
    "origin": "The last month whose prices a forecast knows.",
    "payment": "Principal and interest of the loan a month. Taxes, insurance and upkeep come on top.",
    "prediction": "The price of a month, estimated from what was known the month before.",
    "price": "The typical home's price in the zip, as the source publishes it, in US dollars.",
    "price to income": "The price divided by income a head and year, as the census counts it.",
    "rmse": "Root of the mean squared error in US dollars. It weighs large errors more than the MAE does.",
    "revision": "What a newer vintage changed of months that were published before. Publishers restate the past.",
    "vintage": "What a publisher's file said on the day that it was read, kept as it was.",
    "within": "Percent of predictions that are off by no more than so many percent.",
}
