"""Own how gunicorn serves any handler: one worker of threads, no control socket, a quick and clean stop.

`gunicorn -c infra/gunicorn.conf.py 'handlers.start_job:create_app()'`; C2D_THREADS sets the threads, of which at most
half may stream, so whoever serves logs, events or results is given some hundreds.
"""

import os

threads = int(os.environ.get("C2D_THREADS") or 8)
workers = int(os.environ.get("WEB_CONCURRENCY") or 1)
raw_env = [f"C2D_THREADS={threads}"]
worker_class = "gthread"
worker_connections = max(1000, 2 * threads)
control_socket_disable = True  # one path for a user: two handlers would take each other's over
keepalive = 75  # longer than the proxy keeps its own, so that the proxy closes first
timeout = 60  # a heartbeat for threads: no request is cut off by it
graceful_timeout = 5
limit_request_line = 8190  # as much as nginx takes, so that it is nginx who says no, in JSON
