"""Where trees are fitted: in this process or on a Dask cluster."""
