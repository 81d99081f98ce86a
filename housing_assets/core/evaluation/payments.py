"""What it costs to live somewhere: the monthly payment of a loan for a home, and the income that it takes.

Every figure grows with the price, so the ends of an interval of prices are those of an interval of costs.
"""

from dataclasses import dataclass

MONTHS_A_YEAR = 12


@dataclass(frozen=True)
class Loan:
    """How a home is paid.

    Attributes:
        down: percent of the price that is paid at once, from 0 to 100.
        rate: of the loan, percent a year, not negative.
        years: until it is paid back, at least 1.
        share: percent of income before tax that goes into the payment, above 0.

    Raises:
        ValueError: a value is outside its range.
    """

    down: float = 20.0
    rate: float = 6.5
    years: int = 30
    share: float = 30.0

    def __post_init__(self) -> None:
        """Look at the ranges."""
        if not (0 <= self.down <= 100 and self.rate >= 0 and self.years >= 1 and 0 < self.share <= 100):
            raise ValueError(f"{self} is no loan: down is 0 to 100, rate at least 0, years at least 1, share above 0")

    def payment(self, price: float) -> float:
        """US dollars a month for principal and interest, the same each month (an annuity). Taxes, insurance and upkeep
        come on top."""
        borrowed = price * (1 - self.down / 100)
        months, monthly = self.years * MONTHS_A_YEAR, self.rate / 100 / MONTHS_A_YEAR
        if monthly == 0:
            return borrowed / months
        return borrowed * monthly / (1 - (1 + monthly) ** -months)

    def income(self, price: float) -> float:
        """US dollars a year of income of which the payment is `share`."""
        return self.payment(price) * MONTHS_A_YEAR / (self.share / 100)
