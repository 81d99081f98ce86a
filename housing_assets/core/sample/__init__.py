"""The synthetic panel: a made-up housing market in the columns of the contract."""
