"""All benchmarks, one after another, on a stack that is started for them if none is up: `make bench`."""

from benchmarks import latency, listing, pipeline, report

# The order matters a little: the backlog of the first is part of what the last finds stored.
BENCHMARKS = {"pipeline": pipeline.measure, "latency": latency.measure, "listing": listing.measure}

if __name__ == "__main__":
    report.run(BENCHMARKS, "python -m benchmarks")
