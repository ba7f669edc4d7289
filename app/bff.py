"""`faust -A app.bff worker`: the web views and the status agent."""

from app.factory import create_app

app = create_app("bff")
