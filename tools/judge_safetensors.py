#!/usr/bin/env python3
"""Loads a file that lorac wrote with the Python package safetensors and compares every value.

usage: judge_safetensors.py TEST_PROGRAM   (build/release/test_safetensors)
"""
import os
import subprocess
import sys
import tempfile

import safetensors
import torch

EXPECTED = {
    "u8": torch.tensor([1, 2, 3], dtype=torch.uint8),
    "b.lora_A": torch.arange(6).reshape(2, 3) * 0.5,
    'a."quoted" \u00e9': torch.arange(4) * 0.5,
    "f16": torch.tensor([1, -2], dtype=torch.float16),
    "bf16": torch.tensor([1], dtype=torch.bfloat16),
    "scalar": torch.tensor(1.5),
    "none": torch.zeros(0, 5),
}

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "written.safetensors")
    program = os.path.abspath(sys.argv[1])
    subprocess.run([program], env={**os.environ, "LORAC_TEST_KEEP": path}, cwd=folder, check=True, capture_output=True)
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "about": "line\n\u00e9"}, file.metadata()
        assert sorted(file.keys()) == sorted(EXPECTED), file.keys()
        for name, expected in EXPECTED.items():
            found = file.get_tensor(name)
            assert found.dtype == expected.dtype and found.shape == expected.shape, (name, found)
            assert torch.equal(found, expected), (name, found)
print(f"safetensors {safetensors.__version__} reads all {len(EXPECTED)} tensors as written")
