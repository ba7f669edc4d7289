"""Write the dashboards: `python -m infra.grafana`, which `make dashboards` calls."""

from infra.grafana.dashboard import FOLDER, as_text
from infra.grafana.dependencies import DEPENDENCIES
from infra.grafana.http import HTTP_CALLS
from infra.grafana.overview import OVERVIEW
from infra.grafana.pipeline import PIPELINE

DASHBOARDS = (OVERVIEW, PIPELINE, DEPENDENCIES, HTTP_CALLS)

if __name__ == "__main__":
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.name}.json").write_text(as_text(dashboard))
    print(f"{len(DASHBOARDS)} dashboards written into {FOLDER.relative_to(FOLDER.parents[2])}")
