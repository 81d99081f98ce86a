"""The search for the parameters of the price trees."""
