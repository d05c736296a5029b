"""Own the page about the commands: plain HTML, nothing loaded from elsewhere, nothing to run; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from shared import schemas
from shared.openapi import SIGNERS, summary
from shared.web import Entry, Takes

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.5rem;border-top:1px solid #ccc;padding-top:1rem}
code,pre{font:14px/1.4 ui-monospace,monospace;background:#f3f3f1}pre{padding:.7rem;overflow:auto}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem .25rem 0;vertical-align:top}
td{border-top:1px solid #e5e5e5}nav a{margin-right:.8rem;white-space:nowrap}
@media(prefers-color-scheme:dark){body{background:#161616;color:#e8e8e8}code,pre{background:#262626}a{color:#8ab4f8}}
"""


def page(entries: Iterable[Entry]) -> str:
    """Write the page."""
    shown = list(entries)
    names = [escape(entry.command.name) for entry in shown]
    links = " ".join(f'<a href="#{name}">{name}</a>' for name in names)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Compute-to-data node</title>'
        f"<style>{STYLE}</style></head><body><h1>Compute-to-data node</h1>"
        "<p>Every command has its own route, and can be sent to <code>POST /directCommand</code> by its name. "
        'For programs: <a href="/openapi.json">openapi.json</a>.</p>'
        f"<nav>{links}</nav>{''.join(_command(entry) for entry in shown)}</body></html>"
    )


def _command(entry: Entry) -> str:
    command = entry.command
    fields = schemas.load_all()[command.body]
    where = {Takes.QUERY: "query", Takes.JSON: "JSON body", Takes.BYTES: "query; the body is bytes"}[command.takes]
    return (
        f'<h2 id="{escape(command.name)}">{escape(command.name)}</h2>'
        f"<p><code>{command.method} {escape(command.path)}</code> · {escape(summary(entry))}</p>"
        f"<p>{escape(SIGNERS[type(command.signer)])}</p>"
        f"{_fields(fields, where)}{_example('Example', fields)}"
        + (_example("Reply", schemas.load_all()[command.reply]) if "/" not in command.reply else "")
    )


def _fields(schema: Mapping[str, Any], where: str) -> str:
    required = set(schema.get("required", []))
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{'required' if name in required else ''}</td>"
        f"<td>{escape(str(field.get('description', '')))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    )
    return f"<table><tr><th>Field ({where})</th><th></th><th></th></tr>{rows}</table>" if rows else ""


def _example(title: str, schema: Mapping[str, Any]) -> str:
    if schema.get("examples") in (None, [{}]):
        return ""
    text = json.dumps(schema["examples"][0], indent=2, ensure_ascii=False)
    return f"<details><summary>{title}</summary><pre>{escape(text)}</pre></details>"
