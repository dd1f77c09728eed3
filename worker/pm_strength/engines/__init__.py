"""Mining on an engine that stands already, Dask or Spark: `mine.py` says what is done, a runner where."""
