"""Settings of gunicorn, which finds this file in the folder in which it is started."""

from cptoolkit.servers.gunicorn import *  # noqa: F403

workers = 2
worker_class = "gthread"
threads = 8
control_socket_disable = True  # it would be a file in a folder that nobody may write to
