#!/usr/bin/env python3
"""Makes the goldens of the file readers (tests/golden/file/) and the seeds of their fuzz targets (tests/fuzz/corpus/).

Good files come from the Python packages gguf and safetensors; hostile ones are put together here byte by byte.
What the files hold is written beside them as JSON, with the versions of the packages: run from the repository's root.
"""
import hashlib
import importlib.metadata
import json
import pathlib
import struct

import gguf
import numpy as np
import safetensors.numpy

GOLDEN = pathlib.Path("tests/golden/file")
CORPUS = pathlib.Path("tests/fuzz/corpus")
VERSIONS = {name: importlib.metadata.version(name) for name in ("gguf", "safetensors", "numpy")}


def write(folder, name, data):
    (CORPUS / folder).mkdir(parents=True, exist_ok=True)
    (CORPUS / folder / name).write_bytes(data)


# ---- GGUF ------------------------------------------------------------------------------------

SCALARS = {
    "t.u8": ("uint8", 200), "t.i8": ("int8", -100), "t.u16": ("uint16", 60000), "t.i16": ("int16", -30000),
    "t.u32": ("uint32", 4000000000), "t.i32": ("int32", -2000000000), "t.u64": ("uint64", 2**63 - 1),
    "t.i64": ("int64", -(2**63)), "t.f32": ("float32", 0.5), "t.f64": ("float64", 0.1), "t.bool": ("bool", True),
    "t.string": ("string", "h\u00e9llo"),
}
ARRAYS = {
    "a.i32": [1, -2, 3], "a.f32": [0.5, -1.5], "a.bool": [True, False, True], "a.string": ["", "a", "\u00e9\u00e9", "\n"],
}
TYPED_ARRAYS = {  # gguf.GGUFValueType, struct letter, values: types that add_array does not choose by itself
    "a.u8": ("UINT8", "B", [0, 255]), "a.i8": ("INT8", "b", [-128, 127]), "a.u16": ("UINT16", "H", [65535]),
    "a.i16": ("INT16", "h", [-32768]), "a.u32": ("UINT32", "I", [2**32 - 1]), "a.u64": ("UINT64", "Q", [2**64 - 1]),
    "a.i64": ("INT64", "q", [-(2**63)]), "a.f64": ("FLOAT64", "d", [0.1]),
}
TENSORS = {"f32": ("F32", (3, 5)), "f16": ("F16", (2, 4)), "q4_0": ("Q4_0", (2, 64)), "q4_1": ("Q4_1", (3, 32)),
           "q8_0": ("Q8_0", (2, 96)), "vector": ("F32", (7,)), "four": ("F32", (2, 1, 3, 4))}


def make_gguf(path, alignment=None, tensors_per_part=0):
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "test", split_max_tensors=tensors_per_part)
    if alignment:
        writer.add_custom_alignment(alignment)
    for key, (kind, value) in SCALARS.items():
        getattr(writer, "add_" + kind)(key, value)
    for key, values in ARRAYS.items():
        writer.add_array(key, values)
    for key, (kind, _, values) in TYPED_ARRAYS.items():
        writer.add_key_value(key, values, gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType[kind])
    described = {}
    for name, (kind, shape) in TENSORS.items():
        kind = gguf.GGMLQuantizationType[kind]
        data = gguf.quants.quantize(rng.standard_normal(shape).astype(np.float32), kind)
        writer.add_tensor(name, data, raw_dtype=kind)
        described[name] = {"type": int(kind), "shape": list(reversed(shape)), "bytes": data.nbytes,
                           "sha256": hashlib.sha256(data.tobytes()).hexdigest()}
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return described


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def tensor(name, shape=(32,), kind=0, offset=0, dims=None):
    return string(name) + struct.pack("<I", len(shape) if dims is None else dims) + \
        struct.pack("<%dQ" % len(shape), *shape) + struct.pack("<IQ", kind, offset)


def gguf_file(values=(), tensors=(), data=b"\0" * 256, counts=None, version=3, magic=b"GGUF"):
    count = counts or (len(tensors), len(values))
    head = magic + struct.pack("<IQQ", version, *count) + b"".join(values) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + data


def value(key, kind, data):
    return string(key) + struct.pack("<I", kind) + data


HOSTILE_GGUF = {
    "empty": b"", "magic_only": b"GGUF", "other_magic": b"ggml" + b"\0" * 60,
    "version_1": gguf_file(version=1), "big_endian": gguf_file(version=0x03000000),
    "counts_2_63": gguf_file(counts=(2**63, 2**63)), "counts_max": gguf_file(counts=(2**64 - 1, 2**64 - 1)),
    "counts_a_little_high": gguf_file(counts=(4, 4)),
    "key_2_63": gguf_file([struct.pack("<Q", 2**63) + b"abc"]), "key_max": gguf_file([struct.pack("<Q", 2**64 - 1)], counts=(0, 1)),
    "key_empty": gguf_file([value("", 0, b"\1")]), "key_no_utf8": gguf_file([value(b"\xff\xfe", 0, b"\1")]),
    "key_with_nul": gguf_file([value("a\0b", 0, b"\1")]),
    "key_twice": gguf_file([value("a", 0, b"\1"), value("a", 0, b"\2")]),
    "value_type_99": gguf_file([value("a", 99, b"\1")]), "bool_2": gguf_file([value("a", 7, b"\2")]),
    "u64_max": gguf_file([value("a", 10, b"\xff" * 8)]),
    "string_truncated": gguf_file([value("a", 8, struct.pack("<Q", 1000) + b"abc")], data=b""),
    "array_2_61": gguf_file([value("a", 9, struct.pack("<IQ", 10, 2**61))]),
    "array_max": gguf_file([value("a", 9, struct.pack("<IQ", 4, 2**64 - 1))]),
    "array_of_strings_max": gguf_file([value("a", 9, struct.pack("<IQ", 8, 2**63))]),
    "array_string_2_63": gguf_file([value("a", 9, struct.pack("<IQ", 8, 2) + string("x") + struct.pack("<Q", 2**63))]),
    "array_of_arrays": gguf_file([value("a", 9, struct.pack("<IQ", 9, 1) + struct.pack("<IQ", 0, 1) + b"\1")]),
    "array_type_99": gguf_file([value("a", 9, struct.pack("<IQ", 99, 1) + b"\1")]),
    "alignment_0": gguf_file([value("general.alignment", 4, struct.pack("<I", 0))], [tensor("t")]),
    "alignment_3": gguf_file([value("general.alignment", 4, struct.pack("<I", 3))], [tensor("t")]),
    "alignment_text": gguf_file([value("general.alignment", 8, string("32"))], [tensor("t")]),
    "alignment_2_31": gguf_file([value("general.alignment", 4, struct.pack("<I", 2**31))], [tensor("t")]),
    "tensor_twice": gguf_file([], [tensor("t"), tensor("t", offset=128)]),
    "tensors_overlap": gguf_file([], [tensor("a"), tensor("b", offset=96)]),
    "tensor_behind_end": gguf_file([], [tensor("t", offset=160)]),
    "tensor_offset_max": gguf_file([], [tensor("t", offset=2**64 - 32)]),
    "tensor_offset_odd": gguf_file([], [tensor("t", offset=4)]),
    "tensor_dims_0": gguf_file([], [tensor("t", shape=())]), "tensor_dims_5": gguf_file([], [tensor("t", shape=(1,) * 5)]),
    "tensor_dims_max": gguf_file([], [tensor("t", dims=2**32 - 1)]),
    "tensor_shape_0": gguf_file([], [tensor("t", shape=(0, 4))]),
    "tensor_shape_overflow": gguf_file([], [tensor("t", shape=(2**32, 2**32, 2))]),
    "tensor_shape_wraps_to_32": gguf_file([], [tensor("t", shape=(2**62 + 8, 4))]),
    "tensor_row_not_whole": gguf_file([], [tensor("t", shape=(33,), kind=2)]),
    "q4_k_row_not_whole": gguf_file([], [tensor("t", (128,), 12)]), "q5_k_row_not_whole": gguf_file([], [tensor("t", (257, 2), 13)]),
    "q6_k_rows_of_32": gguf_file([], [tensor("t", (32, 8), 14)]), "q4_k_one_byte_short": gguf_file([], [tensor("t", (256,), 12)], b"\0" * 143),
    "q5_k_one_byte_short": gguf_file([], [tensor("t", (256, 3), 13)], b"\0" * 527),
    "q6_k_one_byte_short": gguf_file([], [tensor("t", (512, 3), 14)], b"\0" * 1259),
    "q4_k_q6_k_overlap": gguf_file([], [tensor("a", (256,), 12), tensor("b", (256,), 14, 128)], b"\0" * 384),
    "tensor_type_4": gguf_file([], [tensor("t", kind=4)]), "tensor_type_max": gguf_file([], [tensor("t", kind=2**32 - 1)]),
    "tensor_name_no_utf8": gguf_file([], [tensor(b"\xc0\x80")]), "table_truncated": gguf_file([], [tensor("truncated")], counts=(1, 0))[:62],
}
GOOD_GGUF = {
    "good_no_tensors": gguf_file([value("a", 0, b"\1")], data=b""), "good_version_2": gguf_file([], [tensor("t")], version=2),
    "good_q6_k_to_the_end": gguf_file([], [tensor("a", (512, 3), 14)], b"\xff" * 1260),
    "good_q5_k": gguf_file([], [tensor("a", (256, 5), 13), tensor("b", (768,), 12, 896)], b"\xff" * 1328),
    "good_k_quants": gguf_file([], [tensor("a", (256,), 12), tensor("b", (256,), 14, 160)], b"\0" * 384),
}


def part(number, count, tensors, total, extra=()):
    def size(key, n): return value(key, 2, struct.pack("<H", n))
    return gguf_file([size("split.no", number), size("split.count", count), size("split.tensors.count", total), *extra], tensors)


SPLITS = {
    "one": [gguf_file([], [tensor("t")])], "one_of_one": [part(0, 1, [tensor("t")], 1)], "one_of_none": [part(0, 0, [tensor("t")], 1)],
    "two": [part(0, 2, [tensor("a")], 2), part(1, 2, [tensor("b")], 2)], "tensors_in_the_second_alone": [part(0, 2, [], 1), part(1, 2, [tensor("t")], 1)],
    "four": [part(i, 4, [tensor(n)], 4) for i, n in enumerate("abcd")], "name_in_both": [part(i, 2, [tensor("t")], 2) for i in (0, 1)],
    "twice_the_first": [part(0, 2, [tensor("t")], 2)] * 2, "of_another_split": [part(0, 2, [tensor("a")], 2), part(1, 3, [tensor("b")], 2)],
    "a_tensor_missing": [part(0, 2, [tensor("a")], 3), part(1, 2, [tensor("b")], 3)], "part_9_of_2": [part(8, 2, [tensor("a")], 2), part(1, 2, [tensor("b")], 2)],
    "of_65535": [part(0, 65535, [tensor("a")], 2), part(1, 65535, [tensor("b")], 2)], "second_cut": [part(0, 2, [tensor("a")], 2), part(1, 2, [tensor("b")], 2)[:-200]],
    "tensors_max": [part(0, 2, [tensor("a")], 65535), part(1, 2, [tensor("b")], 65535)], "second_empty": [part(0, 2, [tensor("a")], 1), b""],
}


def make_all_gguf():
    described = make_gguf(GOLDEN / "types.gguf")
    expected = {"made_with": VERSIONS, "tensors": described,
                "scalars": {key: v for key, (_, v) in SCALARS.items()},
                "arrays": {**ARRAYS, **{key: v for key, (_, _, v) in TYPED_ARRAYS.items()}}}
    (GOLDEN / "types.gguf.json").write_text(json.dumps(expected, indent=1) + "\n")
    write("gguf", "good_types", (GOLDEN / "types.gguf").read_bytes())
    if make_gguf(GOLDEN / "split.gguf", tensors_per_part=3) != described:  # split-00001-of-00003.gguf ...
        raise SystemExit("the parts hold other tensors than the one file")
    aligned = CORPUS / "gguf" / "good_alignment_64"
    make_gguf(aligned, alignment=64)
    for name, parts in SPLITS.items():
        sizes = b"".join(struct.pack("<H", len(p)) for p in parts[:-1])
        write("split", name, bytes([len(parts)]) + sizes + b"".join(parts))
    for name, data in {**HOSTILE_GGUF, **GOOD_GGUF}.items():
        write("gguf", name, data)


# ---- safetensors -----------------------------------------------------------------------------

def st_file(header, data=b"", length=None, pad=False):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8 if pad else 0)
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(1,), begin=0, end=4):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


HOSTILE_ST = {
    "empty": b"", "seven_bytes": b"\1" * 7, "length_max": st_file({}, length=2**64 - 1), "length_2_63": st_file({}, length=2**63),
    "length_over_cap": st_file({}, length=100000001), "length_a_little_high": st_file({}, length=3), "length_0": st_file(b""),
    "no_json": st_file(b"{\"a\":"), "no_object": st_file(b"[1]"), "leading_space": st_file(b" {}"), "text_behind": st_file(b"{} x"),
    "no_utf8": st_file(b"{\"\xff\": 1}"), "deep": st_file(b"{\"a\":" + b"[" * 600 + b"]" * 600 + b"}"),
    "entry_no_object": st_file({"a": 1}), "dtype_missing": st_file({"a": {"shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
    "dtype_unknown": st_file({"a": entry("F128")}, b"\0" * 4), "dtype_number": st_file({"a": entry(7)}, b"\0" * 4),
    "shape_missing": st_file({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, b"\0" * 4),
    "shape_negative": st_file({"a": entry(shape=(-1,))}, b"\0" * 4), "shape_real": st_file({"a": entry(shape=(1.5,))}, b"\0" * 4),
    "shape_overflow": st_file({"a": entry(shape=(2**32, 2**32))}, b"\0" * 4),
    "shape_wraps_to_4": st_file({"a": entry(shape=(2**62 + 1,))}, b"\0" * 4), "shape_2_64": st_file({"a": entry(shape=(2**64,))}, b"\0" * 4),
    "nine_dimensions": st_file({"a": entry(shape=(1,) * 9)}, b"\0" * 4), "shape_against_range": st_file({"a": entry(shape=(2,))}, b"\0" * 4),
    "range_missing": st_file({"a": {"dtype": "F32", "shape": [1]}}, b"\0" * 4), "range_backward": st_file({"a": entry(begin=4, end=0)}, b"\0" * 4),
    "range_of_three": st_file({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}}, b"\0" * 8),
    "range_behind_end": st_file({"a": entry()}, b"\0" * 3), "range_max": st_file({"a": entry(begin=2**63 - 5, end=2**63 - 1)}, b"\0" * 4),
    "range_wide": st_file(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551616]}}', b"\0" * 4),
    "overlap": st_file({"a": entry(), "b": entry(begin=2, end=6)}, b"\0" * 6), "same_bytes": st_file({"a": entry(), "b": entry()}, b"\0" * 4),
    "hole_before": st_file({"a": entry(begin=4, end=8)}, b"\0" * 8), "hole_between": st_file({"a": entry(), "b": entry(begin=8, end=12)}, b"\0" * 12),
    "bytes_behind": st_file({"a": entry()}, b"\0" * 5),
    "name_twice": st_file(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
    "metadata_no_object": st_file({"__metadata__": 1}), "metadata_number": st_file({"__metadata__": {"a": 1}}),
    "metadata_null": st_file({"__metadata__": {"a": None}}), "name_with_nul": st_file({"a\0b": entry()}, b"\0" * 4),
}
GOOD_ST = {
    "good_empty": st_file({}), "good_unaligned": st_file({"b": entry(begin=3, end=7), "a": entry("U8", (3,), 0, 3)}, b"\1" * 7),
    "good_scalar_and_none": st_file({"s": entry(shape=()), "n": entry(shape=(0, 5), end=0), "m": entry(shape=(0,), begin=4)}, b"\0" * 4),
    "good_trailing_spaces": st_file({"a": entry()}, b"\0" * 4, pad=True),
}


def make_all_safetensors():
    rng = np.random.default_rng(2)
    kinds = {"f64": np.float64, "f32": np.float32, "f16": np.float16, "i64": np.int64, "i32": np.int32, "i16": np.int16,
             "i8": np.int8, "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64, "bool": np.bool_}
    arrays = {f"t.{name}": (rng.standard_normal((2, 3)) * 50).astype(kind) if not name.startswith("u")
              else rng.integers(0, 200, (2, 3)).astype(kind) for name, kind in kinds.items()}
    arrays |= {"scalar": np.array(1.5, np.float32), "none": np.zeros((0, 4), np.float32), "n\u00e4me": np.ones(3, np.float32)}
    data = safetensors.numpy.save(arrays, metadata={"format": "pt", "note": "\u00e9"})
    (GOLDEN / "types.safetensors").write_bytes(data)
    described = {name: {"dtype": {"b1": "BOOL"}.get(a.dtype.str[1:], a.dtype.kind.upper() + str(8 * a.itemsize)),
                        "shape": list(a.shape), "sha256": hashlib.sha256(a.tobytes()).hexdigest()} for name, a in arrays.items()}
    expected = {"made_with": VERSIONS, "tensors": described, "metadata": {"format": "pt", "note": "\u00e9"}}
    (GOLDEN / "types.safetensors.json").write_text(json.dumps(expected, indent=1) + "\n")
    write("safetensors", "good_types", data)
    for name, content in {**HOSTILE_ST, **GOOD_ST}.items():
        write("safetensors", name, content)


# ---- JSON ------------------------------------------------------------------------------------

JSON_SEEDS = {
    "good_all": b'{"a": [1, -2.5e3, true, false, null, "x\\n\\u00e9\\ud83d\\ude00"], "b": {"c": {}}, "d": []}',
    "good_bom": b"\xef\xbb\xbf[1]", "good_nan": b"[NaN, Infinity, -Infinity, {\"a\": NaN}]", "good_surrogates": b'"\\ud800 \\udc00 \\ud800\\u0041 \\ud83d\\ude00"',
    "good_wide": b"[18446744073709551616, -9223372036854775809, 1" + b"0" * 308 + b"]", "good_very_wide": b"-" + b"9" * 2000,
    "good_nul": b'"a\\u0000b"', "good_twice": b'{"a": 1, "a": 2}', "good_depth_512": b"[" * 512 + b"]" * 512,
    "good_numbers": b"[0.1, 1e-05, 5e-324, 1.7976931348623157e308, 2.0, -0.0, 1e16, 123456789012345678]",
    "depth_513": b"[" * 513 + b"]" * 513, "depth_open": b"[{\"a\":" * 20000, "escape_cut": b'"\\u12', "surrogate_cut": b'"\\ud800\\u',
    "string_open": b'"abc', "backslash_end": b'"abc\\', "nan_joined": b"[1NaN, NaNx]", "no_utf8": b'"\xff"', "key_with_nul": b'{"a\\u0000b": 1}',
    "real_overflow": b"[1e400]", "empty": b"", "bom_only": b"\xef\xbb\xbf", "minus": b"-", "nul_byte": b"[1]\0", "control": b'"\t"',
    "marker": b"[2.6180339887498948e-291, NaN]",
}

# ---- imatrix ---------------------------------------------------------------------------------

SUMS = {"blk.0.attn_q.weight": (2, [2, 4, 0, 8]), "blk.0.ffn_down.weight": (0, [5, 6, 7]), "output.weight": (1, [0.5])}  # name: count, sums


def imatrix_gguf(entries=SUMS, rename=lambda name: name, experts=1):
    path = CORPUS / "imatrix" / "temporary.gguf"
    w = gguf.GGUFWriter(str(path), "")
    w.add_string("general.type", "imatrix"); w.add_uint32("imatrix.chunk_count", 2); w.add_uint32("imatrix.chunk_size", 512); w.add_array("imatrix.datasets", ["d.txt"])
    for name, (count, sums) in entries.items():
        w.add_tensor(rename(name + ".in_sum2"), np.array([sums] * experts, "<f4"))
        w.add_tensor(rename(name + ".counts"), np.array([[count]] * experts, "<f4"))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
    data = path.read_bytes(); path.unlink()
    return data


def imatrix_dat(entries=SUMS, count=None, footer=True):
    out = struct.pack("<i", len(entries) if count is None else count)
    for name, (calls, sums) in entries.items():
        out += struct.pack(f"<i{len(name)}sii{len(sums)}f", len(name), name.encode(), calls, len(sums), *sums)
    return out + (struct.pack("<ii5s", 2, 5, b"d.txt") if footer else b"")


def make_all_imatrix():
    (CORPUS / "imatrix").mkdir(parents=True, exist_ok=True)
    one = lambda count, sums, name="a.weight": {name: (count, sums)}
    (GOLDEN / "imatrix.gguf").write_bytes(imatrix_gguf()); (GOLDEN / "imatrix.dat").write_bytes(imatrix_dat())
    for name, data in {"good_gguf": imatrix_gguf(), "good_dat": imatrix_dat(), "good_no_footer": imatrix_dat(footer=False), "experts": imatrix_gguf(experts=2),
                       "no_counts": imatrix_gguf(rename=lambda n: n.replace(".counts", ".count")), "no_sums": imatrix_gguf(rename=lambda n: n.replace("in_sum2", "sum")),
                       "count_nan": imatrix_gguf(one(float("nan"), [1])), "sum_negative": imatrix_gguf(one(1, [1, -1])), "sum_infinite": imatrix_dat(one(1, [float("inf")])),
                       "calls_negative": imatrix_dat(one(-1, [1])), "too_many": imatrix_dat(count=4, footer=False), "negative_count": imatrix_dat(count=-1),
                       "name_nul": imatrix_dat(one(1, [1], "a\0b")), "name_empty": imatrix_dat(one(1, [1], "")), "no_values": imatrix_dat(one(1, [])),
                       "huge_values": struct.pack("<ii1sii", 1, 1, b"a", 1, 2**31 - 1), "huge_name": struct.pack("<ii", 1, 2**31 - 1), "empty": b"", "no_entries": struct.pack("<i", 0)}.items():
        write("imatrix", name, data)


if __name__ == "__main__":
    for folder in (GOLDEN, CORPUS / "gguf", CORPUS / "safetensors", CORPUS / "json"):
        folder.mkdir(parents=True, exist_ok=True)
    make_all_gguf()
    make_all_safetensors()
    make_all_imatrix()
    for seed, text in JSON_SEEDS.items():
        write("json", seed, text)
    print("made with", VERSIONS)
