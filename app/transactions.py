"""`faust -A app.transactions worker`: the transactions agent."""

from app.bootstrap import create_app

app = create_app("transactions")
