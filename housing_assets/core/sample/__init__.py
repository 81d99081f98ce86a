"""A synthetic panel in the HouseTS layout: any number of zips and months, the same for the same spec.

It stands in for the real source where that cannot be had. What it keeps of the real panel are shape and dynamics:
levels by metro, a price that is a smoothed index with persistent growth, market columns that follow the price with
noise, census columns that change by the year, and what the source does with gaps (a 0, never a null). Its zips look
real and are not: no value speaks of a real place.

Every array is drawn month by month from a generator of its own, so a later `end` only adds rows.
"""
