"""Own the list of core commands, kept by hand: what all_in_one serves, directCommand reaches and the docs tell of."""

from handlers import (
    create_token,
    encrypt,
    encrypt_file,
    environments,
    events,
    file_info,
    free_start,
    healthz,
    initialize_compute,
    invalidate_token,
    job_provision,
    job_publish_result,
    job_status_update,
    jobs,
    logs,
    metrics,
    node_logs,
    node_status,
    nonce,
    readyz,
    result,
    root,
    start_compute,
    status,
    stop,
)
from shared.web import Entry

MODULES = (
    root, healthz, readyz, metrics, nonce, create_token, invalidate_token, environments, jobs, initialize_compute,
    start_compute, free_start, status, stop,
    result, logs, events, file_info, encrypt, encrypt_file, node_status, node_logs, job_provision, job_status_update,
    job_publish_result,
)  # fmt: skip
POD_MODULES = (job_provision, job_status_update, job_publish_result)

ENTRIES = tuple(Entry(module.COMMAND, module.respond) for module in MODULES)
POD_ENTRIES = tuple(Entry(module.COMMAND, module.respond) for module in POD_MODULES)
BY_NAME = {entry.command.name: entry for entry in ENTRIES}
