"""What came before a transaction, as integers: the same code for the worker, for training and for verification.

It imports numpy and the standard library, and nothing else of ours. A customer's history is a fold of the log: state
and features are functions of the customer's earlier transactions, in the log's order, and of nothing else.

`features.py` lists what is computed; `customers.py` and `merchants.py` are what others use. A customer's row
(`layout.py`) meets a transaction in `step.py`, which puts together the last 32 transactions (`recent.py`), the longer
windows (`buckets.py`) and the way from the last place (`places.py`).
"""
