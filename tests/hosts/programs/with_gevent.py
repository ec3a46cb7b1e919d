"""gunicorn's configuration."""

from gevent import monkey

monkey.patch_all()

from cptoolkit.servers.gunicorn import *  # noqa: E402, F403

worker_class = "gevent"
