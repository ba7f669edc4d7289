"""`faust -A app.main worker`: both workers in one process; also the app of every command."""

from app.bootstrap import create_app

app = create_app("main")

#: For `faust -A app.main send @transactions '{…}'`.
transactions = app.agents["transactions"]
