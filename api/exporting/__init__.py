"""A backtest to take along: tables as CSV or Parquet, all of it as JSON, or a page that needs nobody to be read."""
