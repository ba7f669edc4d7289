"""A replica of antifraud: gRPC in, the model's verdict out (`python -m antifraud.server`)."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from numpy.typing import NDArray

from antifraud import columns, logs, metrics, tls, tracing
from antifraud.models import Chosen, Models, choose, load_all
from antifraud.reasons import reasons
from antifraud.settings import Settings, WrongSettingError, read
from antifraud.watch import NOT_WATCHED, Watch, watch
from schemas.proto import antifraud_pb2 as pb
from schemas.proto import antifraud_pb2_grpc as pb_grpc

SERVICE = "antifraud.v1.AntifraudAPI"
DRAIN_SECONDS = 5.0
OPTIONS = [
    ("grpc.so_reuseport", 0),  # a port in use is an error, not a share of its calls
    ("grpc.max_receive_message_length", 4 << 20),  # twice the largest batch with histories
    ("grpc.max_send_message_length", 1 << 20),
]

log = logging.getLogger("antifraud")


class Assessor(pb_grpc.AntifraudAPIServicer):  # type: ignore[misc]  # generated without types
    """The service.

    The models run in the event loop's thread: a call takes 0.4 ms, with 1,000 rows 12; another thread would only
    wait for the same interpreter lock, and a replica stays within one core.
    """

    def __init__(self, models: Models, settings: Settings, watched: Watch = NOT_WATCHED) -> None:
        self._models = models
        self._watch = watched
        self._threshold = settings.approved_threshold
        self._replica = settings.antifraud_replica
        self._shadow_failed = False

    async def AntifraudAssesment(  # noqa: N802  # the wire format's name
        self, request: pb.AntifraudAssesmentRequest, context: grpc.aio.ServicerContext
    ) -> pb.AntifraudAssesmentResponse:
        """Assess one transaction."""
        with tracing.serving(SERVICE, "AntifraudAssesment", context):
            answer: pb.AntifraudAssesmentResponse = await self._answered("one", self._one, request, context)
            return answer

    async def AntifraudAssesmentBatch(  # noqa: N802
        self, request: pb.AntifraudAssesmentBatchRequest, context: grpc.aio.ServicerContext
    ) -> pb.AntifraudAssesmentBatchResponse:
        """Assess a batch, answered in its order."""
        with tracing.serving(SERVICE, "AntifraudAssesmentBatch", context):
            answer: pb.AntifraudAssesmentBatchResponse = await self._answered(
                "batch", self._batch, request, context
            )
            return answer

    async def _answered(
        self, method: str, answer: Callable[[Any], Any], request: Any, context: grpc.aio.ServicerContext
    ) -> Any:
        with metrics.Call(method):
            try:
                return answer(request)
            except columns.WrongFieldError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    def _one(self, request: pb.AntifraudAssesmentRequest) -> pb.AntifraudAssesmentResponse:
        scores = self._served_scores(columns.of_one(request))
        (status,) = self._decided(scores)
        return pb.AntifraudAssesmentResponse(
            status=status, score=scores[0], **self._signature(self._models.served)
        )

    def _batch(self, request: pb.AntifraudAssesmentBatchRequest) -> pb.AntifraudAssesmentBatchResponse:
        """What names its model is nobody's verdict: it has no shadow and is not counted."""
        rows, model = columns.of_batch(request), self._models.served
        if request.model_version:
            model = self._named(request.model_version)
            scores = _scores(model, rows)
        else:
            scores = self._served_scores(rows)
        statuses = self._decided(scores, is_counted=not request.model_version)
        answer = pb.AntifraudAssesmentBatchResponse(
            status=statuses, score=scores.tolist(), **self._signature(model)
        )
        if not request.model_version:
            why = reasons(model.score, rows, scores, np.flatnonzero(statuses), self._threshold)
            answer.reasons.extend(
                pb.Reason(row=one.row, feature=one.feature, value=one.value, words=one.words) for one in why
            )
        if self._models.shadow is not None and not request.model_version:
            answer.shadow_version = self._models.shadow.version
            answer.shadow_score.extend(self._shadow_scores(rows))
        return answer

    def _named(self, version: str) -> Any:
        known = self._models.by_version
        if version not in known:
            raise columns.WrongFieldError(
                f"model_version: {self._replica} has no model {version!r}; it has: {', '.join(known)}"
            )
        return known[version]

    def _served_scores(self, rows: columns.Arrays) -> NDArray[np.float64]:
        if not self._watch.is_on:
            return _scores(self._models.served, rows)
        scores: NDArray[np.float64]
        with tracing.scoring():
            scores, inputs = self._models.served.score_and_inputs(**rows)
        self._watch.count(rows, scores, inputs)
        return scores

    def _decided(self, scores: NDArray[np.float64], *, is_counted: bool = True) -> list[Any]:
        rejected = scores < self._threshold
        if is_counted:
            metrics.count(len(rejected), int(rejected.sum()))
        # As numbers they are the statuses: ACCEPTED is 0, REJECTED is 1.
        statuses: list[Any] = rejected.astype(int).tolist()
        return statuses

    def _shadow_scores(self, rows: columns.Arrays) -> list[float]:
        """NaN where the model in the shadow fails: no verdict depends on it."""
        try:
            scores: list[float] = _scores(self._models.shadow, rows).tolist()
            return scores
        except Exception:
            if not self._shadow_failed:
                log.exception("the model in the shadow fails; its scores are NaN, verdicts are not touched")
            self._shadow_failed = True
            return [math.nan] * len(rows["value_in_cents"])

    def _signature(self, model: Any) -> dict[str, Any]:
        return {"threshold": self._threshold, "model_version": model.version, "replica": self._replica}


def _scores(model: Any, rows: columns.Arrays) -> NDArray[np.float64]:
    with tracing.scoring():
        scores: NDArray[np.float64] = model.score(**rows)
    return scores


def load_models(chosen: Chosen) -> Models:
    """Return the models, ready and warm; ValueError for one that is chosen and damaged."""
    # TensorFlow imports Keras, which is not needed here; this way that fails silently, 0.7 s sooner.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    import tensorflow as tf

    # Threads slow down so small a network.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    models = load_all(chosen)
    for model in models.by_version.values():
        for rows in (1, columns.MOST_ROWS):
            model.score([1] * rows, [0] * rows, [0.0] * rows, [0.0] * rows)
    return models


async def serve(models: Models, settings: Settings, watched: Watch, credentials: Any = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish the calls in progress and end."""
    server = grpc.aio.server(options=OPTIONS)
    state = health.aio.HealthServicer()
    pb_grpc.add_AntifraudAPIServicer_to_server(Assessor(models, settings, watched), server)
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    address = f"{settings.antifraud_listen_host}:{settings.antifraud_port}"
    if credentials is None:
        server.add_insecure_port(address)
    else:
        server.add_secure_port(address, credentials)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    if settings.antifraud_metrics_port:
        metrics.serve(
            settings.antifraud_listen_host,
            settings.antifraud_metrics_port,
            models.served.version,
            settings.approved_threshold,
        )
    for service in ("", SERVICE):
        await state.set(service, health_pb2.HealthCheckResponse.SERVING)
    log.info("serving: %s model=%s", settings, models.served.version)
    looks = asyncio.create_task(watched.go_on())
    await stop.wait()
    looks.cancel()
    log.info("stopping: no new calls, up to %g s for those under way", DRAIN_SECONDS)
    await state.enter_graceful_shutdown()
    await server.stop(DRAIN_SECONDS)


def main() -> int:
    """Run a replica; the exit status is 2 for a wrong setting or model, 1 when it cannot listen."""
    try:
        settings = read(os.environ)
        chosen = choose(settings)
        credentials = tls.credentials(settings)
    except WrongSettingError as error:
        print(f"antifraud: {error}", file=sys.stderr)  # noqa: T201  # before the log has anything to say
        return 2
    logs.configure(settings.antifraud_replica, os.environ)
    tracing.set_up(settings.antifraud_replica)
    try:
        models = load_models(chosen)
    except ValueError as error:  # which file, and what is wrong with it
        log.error("%s", error)
        return 2
    watched = watch(chosen.served, chosen.folders[chosen.served], models.served.input_names)
    try:
        asyncio.run(serve(models, settings, watched, credentials))
    except RuntimeError:  # what gRPC raises when it cannot bind
        log.error(
            "cannot listen on %s:%d: is it in use?", settings.antifraud_listen_host, settings.antifraud_port
        )
        return 1
    finally:
        tracing.shut_down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
