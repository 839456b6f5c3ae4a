"""Frames in: a thread for each camera, and the newest frame wins."""

from gateway.ingest.cameras.cameras import Cameras
from gateway.ingest.cameras.directory import CameraDirectory
from gateway.ingest.cameras.pace import RealClock
from gateway.ingest.cameras.probing import Probe, probe
from gateway.ingest.cameras.settings import CameraSettings, load_camera
from gateway.ingest.cameras.state import CameraState

__all__ = [
    "CameraDirectory",
    "CameraSettings",
    "CameraState",
    "Cameras",
    "Probe",
    "RealClock",
    "load_camera",
    "probe",
]
