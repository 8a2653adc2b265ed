"""For this repository only: the plugin's tests run pytest in pytest."""

pytest_plugins = ["pytester"]
