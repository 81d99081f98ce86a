"""What is measured of each asset, the rules on the measurements, and drift."""
