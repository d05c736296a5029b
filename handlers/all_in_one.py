"""Serve every core command from one process; or, for the pods' own door, their three commands and nothing else."""

from functools import partial

from handlers import direct_command, docs, openapi, registry
from shared.web import Entry, build_app

ABOUT_ALL = tuple(Entry(module.COMMAND, module.respond) for module in (direct_command, openapi, docs))
"Commands about the others, which the registry therefore cannot hold."

create_app = partial(build_app, (*registry.ENTRIES, *ABOUT_ALL))  # gunicorn 'handlers.all_in_one:create_app()'
create_pod_app = partial(build_app, registry.POD_ENTRIES)  # gunicorn 'handlers.all_in_one:create_pod_app()'
