"""Forecasts as assets: from a long panel to months of forecasts."""


def test_every_zip_is_forecast_twelve_months_ahead_from_every_origin(grown):
    assert grown.store.months("monthly_forecasts").available() == [
        "2020-01",
        "2020-02",
        "2020-03",
        "2020-04",
        "2020-05",
        "2020-06",
    ]
    made = grown.read("monthly_forecasts", "2020-06")
    assert made.height == 12 * 12
