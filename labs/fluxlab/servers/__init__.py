"""What is behind the gateway: git, charts, and how they are served."""

from .asgi import asked_by, path_below
from .chart_metadata import ChartError
from .chart_packaging import package_chart
from .chart_server import ChartServer
from .charts import ChartRepository, ChartVersion
from .git import GitServer
from .git_repositories import GitRepositories, GitRepository
from .http import HttpServer, bind_loopback, serve
from .pushes import NO_COMMIT, Push, RefChange
from .webhook import Delivery, Webhook

__all__ = [
    "NO_COMMIT",
    "ChartError",
    "ChartRepository",
    "ChartServer",
    "ChartVersion",
    "Delivery",
    "GitRepositories",
    "GitRepository",
    "GitServer",
    "HttpServer",
    "Push",
    "RefChange",
    "Webhook",
    "asked_by",
    "bind_loopback",
    "package_chart",
    "path_below",
    "serve",
]
