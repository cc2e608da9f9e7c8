"""What a team would build instead, as the tutorials show it and written well: FastAPI, a record in MongoDB, a
Celery task that runs the backtest in backtesting.py, result and status in MongoDB, news by the Redis manager of
python-socketio.
"""
