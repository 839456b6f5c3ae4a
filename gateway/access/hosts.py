"""The names and addresses under which devices reach this box."""

import socket
from ipaddress import IPv4Address

import psutil

from gateway.topics import token


def host_names() -> list[str]:
    """Return names and IPv4 addresses of this host, its own name first.

    IPv6 addresses are left out: they change by the day, and each change would be a certificate.
    """
    host = token(socket.gethostname().split(".")[0])
    names = [host, f"{host}.local", "localhost", "127.0.0.1"]
    full = socket.gethostname()
    if "." in full:
        names.append(full)
    return list(dict.fromkeys([*names, *addresses()]))


def addresses() -> list[str]:
    """Return this host's IPv4 addresses that other machines may use, sorted."""
    found = {
        each.address
        for each_interface in psutil.net_if_addrs().values()
        for each in each_interface
        if each.family == socket.AF_INET
    }
    usable = [IPv4Address(a) for a in found]
    return [str(a) for a in sorted(usable) if not a.is_loopback and not a.is_link_local]
