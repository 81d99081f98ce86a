"""Naive predictors that every model is compared with."""
