"""`faust -A app.bff worker`: the web views and the status agent."""

from app.bootstrap import create_app

app = create_app("bff")
