"""A small plant of the project's own, and devices that speak for it as real firmwares do."""
