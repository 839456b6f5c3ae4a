"""Which source reads which kind of address."""

from gateway.ingest.cameras.capture import DeviceSource, FileSource, RtspSource
from gateway.ingest.cameras.mailbox import Mailbox
from gateway.ingest.cameras.settings import CameraSettings
from gateway.ingest.cameras.source import FrameSource
from gateway.ingest.cameras.web import WebSource


def source_for(settings: CameraSettings) -> FrameSource:
    """Return the source of a camera's frames, not yet open."""
    match settings.address.scheme:
        case "rtsp" | "rtsps":
            return RtspSource(settings)
        case "http" | "https":
            return WebSource(settings)
        case "v4l2":
            return DeviceSource(settings)
        case "file":
            return FileSource(settings)
        case "mqtt":
            return Mailbox()
