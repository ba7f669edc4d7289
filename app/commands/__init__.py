"""Commands of the faust CLI: `faust -A app.main NAME`."""

from __future__ import annotations

import faust

from app.commands import dead_letters, lag, partitions, pass_over, reassess, topic
from app.commands.backtest.command import register as register_backtest
from app.commands.evaluate.command import register as register_evaluate
from app.commands.replay.command import register as register_replay
from app.commands.verify.command import register as register_verify
from app.settings import Settings


def register(app: faust.App, settings: Settings) -> None:
    """Put every command on the app."""
    topic.register(app, settings)
    lag.register(app, settings)
    dead_letters.register(app, settings)
    pass_over.register(app, settings)
    partitions.register(app, settings)
    reassess.register(app, settings)
    register_replay(app, settings)
    register_verify(app, settings)
    register_evaluate(app, settings)
    register_backtest(app, settings)
