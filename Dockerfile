# What is ours, one image for each set of packages: `app` (bff, transactions, generator) and `antifraud` (TensorFlow).
# docker-compose.yml says which command runs in which.
# Another base is one with Python 3.11 and pip (docs/containers.md).
ARG BASE=python:3.11.13-slim-bookworm
FROM ${BASE}

# Logs appear line by line; Faust's data directory, which nothing of ours uses, lies where this user may write.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 APP_DATADIR=/tmp/faust

WORKDIR /payments

# First what changes seldom, so that a change of the code does not install everything again.
ARG PACKAGES=app
COPY infra/image/${PACKAGES}.lock packages.lock
RUN python -m pip install --no-cache-dir --require-hashes -r packages.lock

COPY schemas schemas
COPY antifraud antifraud
COPY commerce commerce
COPY generator generator
COPY history history
COPY app app
# Of infra only the probes, for the health checks.
COPY infra/__init__.py infra/__init__.py
COPY infra/native infra/native
RUN python -m compileall -q antifraud app commerce generator history infra schemas
# Where the worker keeps what it knows of its customers; a new volume takes its permissions from here.
RUN install -d -m 1777 histories

USER nobody
