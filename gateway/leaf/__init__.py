"""The leaf: the nats-server that a gateway runs, and the try-out hub.

settings -> `edge` (pure: the configuration) -> `server` (the process) -> `leaf` (ready, watched,
restarted). `hub` runs the other end for demonstrations and tests, `relay` is a link to cut.
"""
