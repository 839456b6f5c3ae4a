"""What a file that no runtime takes seems to be, and what would make a model of it."""

_BEGINNINGS = (
    (b"version https://git-lfs", "which is a pointer of Git LFS: run `git lfs pull`"),
    (b"PK\x03\x04", "which is a zip archive, as PyTorch's .pt is: export the model to ONNX"),
    (b"\x80\x02", "which is a Python pickle, as PyTorch's .pt was: export the model to ONNX"),
    (b"\x89HDF\r\n", "which is HDF5, as Keras' .h5 is: convert it with tf2onnx"),
    (b"<!DOCTYPE html", "which is a web page: the download failed"),
    (b"<html", "which is a web page: the download failed"),
    (b"7767517", "which is NCNN's .param: export the model to ONNX instead"),
    (b"ORTM", "which is ONNX Runtime's own format: give it the .onnx"),
)

_ONNX = b"\x08"
"""The first field of a ModelProto, ir_version, as a varint."""


def kind_of(content: bytes) -> str:
    """Return in words what content is when it is known not to be a model, or ""."""
    if not content:
        return "which is empty"
    if content[4:8] == b"TFL3":
        return "which is TensorFlow Lite's: convert it with tf2onnx"
    if content[4:8] == b"ORTM":
        content = content[4:]
    known = (kind for start, kind in _BEGINNINGS if content.startswith(start))
    models = content.startswith((_ONNX, b"<?xml", b"\xef\xbb\xbf<?xml"))
    return next(known, "" if models else "which does not begin as ONNX or OpenVINO's .xml does")
