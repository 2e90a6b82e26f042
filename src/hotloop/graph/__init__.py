"""From layers to a plan: ops, their gradients, fusion, memory.

Reading order: `trace` (values and nodes), `op` (what is known of an op), `ops` (a file for each
family, each op beside its gradient), `gradients` (the backward pass), `fusion`, `memory`, `plan`
(all of it in order).
"""
