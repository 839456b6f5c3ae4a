"""Who may speak to the box: devices' credentials, what each may say, and the box's certificates.

All of it is files in one directory, which the device broker (Mosquitto) reads. ``devices.json`` is
the truth; ``passwords``, ``psk`` and ``acl`` are made from it.
"""
