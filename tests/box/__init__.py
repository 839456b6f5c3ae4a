"""Clean boxes as tests: the packages of `dist/` on machines that were never used before.

    python -m tests.box amd64     # the life cycle in systemd-nspawn
    python -m tests.box arm64     # the life cycle on an emulated board
    python -m tests.box small     # 1 GB and 2 cores, 200 devices, a camera

``machine`` says what a box can do, ``nspawn`` and ``vm`` are two kinds of it, ``images`` makes what
they start from, ``outside`` is what stands around a box: hub, devices, a camera.
"""
