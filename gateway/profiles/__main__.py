"""Write ``profile.schema.json`` anew: ``python -m gateway.profiles``."""

from pathlib import Path

from gateway.profiles.schema import json_schema

if __name__ == "__main__":
    (Path(__file__).parent / "profile.schema.json").write_bytes(json_schema())
