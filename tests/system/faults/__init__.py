"""Faults under load, by a seed: what devices sent, what is stored and what the hub holds agree."""
