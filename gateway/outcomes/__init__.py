"""Outcomes: results become packets of at most 512 bytes, are kept, and are brought to the hub.

Pure: `packet`, `units`, `fingerprint`, `lanes`. With NATS: `link`, `publishing`, `pull`, `hub`; on
them `outbox` (into the leaf's queue), `forwarder` (from there to the hub) and `reader`.
"""
