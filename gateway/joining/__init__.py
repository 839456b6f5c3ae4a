"""To join a hub and to leave it: tried first, then written, then taken up.

``login``, ``wording`` and ``arrival`` are pure; ``trial`` runs a nats-server for a moment,
``papers`` writes files, ``services`` speaks to systemd.
"""
