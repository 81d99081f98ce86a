"""Redfin's layouts: the market tracker, the Data Center's file that took its place, and what the download button gives.

Source: Redfin Data Center, https://www.redfin.com/news/data-center/.

What belongs here: names and levels of Redfin's columns, periods and units. What does not: how numbers, days and ZIP
codes are written, which every publisher shares.
"""
