"""The `c2d` command: run a node, and use one."""
