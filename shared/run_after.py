"""Own the graph of what waits for what; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def find_cycle(after: Mapping[int, Iterable[int]]) -> list[int]:
    """Find jobs that wait for each other, first and last the same; empty where there are none."""
    done: set[int] = set()
    for start in after:
        trail: list[int] = []
        stack = [(start, iter(after[start]))] if start not in done else []
        trail += [start] if stack else []
        while stack:
            index, rest = stack[-1]
            following = next((each for each in rest if each not in done), None)
            if following is None:
                done.add(index)
                stack.pop()
                trail.pop()
            elif following in trail:
                return [*trail[trail.index(following) :], following]
            else:
                trail.append(following)
                stack.append((following, iter(after[following])))
    return []
