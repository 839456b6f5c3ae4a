#!/bin/sh
# prune.sh SITE_PACKAGES: drops what a gateway never loads, about a fifth of the package.
set -eu
cd "$1"
# OpenVINO: front ends for training frameworks (models come as ONNX or as its own format), its C
# interface, headers, the plugin for NPUs.
rm -rf openvino/include openvino/cmake openvino/torch openvino/tools openvino_telemetry*
for name in pytorch tensorflow tensorflow_lite paddle jax gguf; do
  rm -rf "openvino/frontend/$name"
  rm -f openvino/libs/libopenvino_${name}_frontend.so*
done
rm -f openvino/libs/libopenvino_intel_npu_plugin.so openvino/libs/libopenvino_c.so* \
  openvino/libs/libtbbmalloc_proxy.so*
# ONNX Runtime: its Python module is whole without the library for C; tools for making models.
rm -f onnxruntime/capi/libonnxruntime.so.*
rm -rf onnxruntime/transformers onnxruntime/quantization onnxruntime/tools onnxruntime/datasets
# NumPy: compilers' food and tests. OpenCV: trained cascades that nobody asks for.
rm -rf numpy/f2py numpy/_core/include numpy/_core/lib numpy/doc cv2/data
find . -path './numpy/*' -type d -name tests -prune -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.a' -o -name '*.c' -o -name '*.h' -o -name '*.hpp' \
  -o -name '*.pyx' -o -name '*.pxd' -o -name '*.rst' \) -delete
# pip's notes of where it installed from.
find . -name direct_url.json -delete
# Modules are no commands, and no file of them needs to be executable.
find . -type f -exec chmod 644 {} +
grep -rlZE --include='*.py' '^#!' . | xargs -0r sed -i '1{/^#!/d}'
find . -type d -empty -delete
