#!/usr/bin/env python3
"""Packs each function's release binary as a Lambda zip, and holds it to its limits.

`target/release/<function>` becomes `bootstrap` in `target/lambda/<function>.zip`. The same binary gives the same
zip, byte for byte: no times, fixed mode. Two gates, each named when it fails:
  size    the zip's bytes, since a cold start downloads it;
  GLIBC   the newest symbol version that the binary asks for: Amazon Linux 2023 has 2.34.
Models and data sets are not in here: functions read them from the bucket.

A zip is deflated by Zopfli, which takes seconds and saves 3 %, and only when its binary has changed. The tables for
unwinding are zeroed first: a function's process ends where it panics, so nothing reads them, and they are a tenth of it.
"""

import hashlib
import re
import struct
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import zopfli.zlib

MB = 1_000_000
LIMITS = {"dispatch": 3 * MB, "extract": 5 * MB, "predict": 2 * MB, "ensemble": 4 * MB}
GLIBC = (2, 34)
RELEASE = Path("target/release")
OUT = Path("target/lambda")


def newest_glibc(binary: bytes) -> tuple[int, int]:
    """The newest GLIBC_x.y among the binary's symbol versions."""
    versions = re.findall(rb"GLIBC_(\d+)\.(\d+)", binary)
    return max(((int(a), int(b)) for a, b in versions), default=(0, 0))


def without_unwinding(binary: bytes) -> bytes:
    """An ELF program of 64 bits with its sections for unwinding zeroed."""
    out = bytearray(binary)
    (sections,) = struct.unpack_from("<Q", out, 0x28)
    count, names = struct.unpack_from("<HH", out, 0x3C)
    # Of each section header: name at 0, file offset at 24, size at 32.
    field = lambda section, at: struct.unpack_from("<Q", out, sections + 64 * section + at)[0]  # noqa: E731
    for section in range(count):
        (name_at,) = struct.unpack_from("<I", out, sections + 64 * section)
        start = field(names, 24) + name_at
        if bytes(out[start : out.index(0, start)]) in (b".eh_frame", b".eh_frame_hdr"):
            at, size = field(section, 24), field(section, 32)
            out[at : at + size] = bytes(size)
    return bytes(out)


def zip_of(content: bytes) -> bytes:
    """A zip with the one file `bootstrap`, which may be run, of 1980-01-01."""
    name, mode, date = b"bootstrap", 0o100755 << 16, 1 << 5 | 1
    # Between the two bytes of the header and the four of the checksum of zlib lies what a zip holds.
    deflated = zopfli.zlib.compress(content, numiterations=5)[2:-4]
    common = struct.pack(
        "<HHHHHIIIHH", 20, 0, 8, 0, date, zlib.crc32(content), len(deflated), len(content), len(name), 0
    )
    local = b"PK\x03\x04" + common + name
    directory = b"PK\x01\x02" + struct.pack("<H", 3 << 8 | 20) + common + struct.pack("<HHHII", 0, 0, 0, mode, 0) + name
    end = b"PK\x05\x06" + struct.pack(
        "<HHHHIIH", 0, 0, 1, 1, len(directory), len(local) + len(deflated), 0
    )
    return local + deflated + directory + end


def pack(function: str) -> int:
    """Writes the zip, unless it is of this binary already, and returns its size."""
    binary = (RELEASE / function).read_bytes()
    path, stamp = OUT / f"{function}.zip", OUT / f"{function}.sha256"
    digest = hashlib.sha256(binary + Path(__file__).read_bytes()).hexdigest()
    if not (path.is_file() and stamp.is_file() and stamp.read_text() == digest):
        path.write_bytes(zip_of(without_unwinding(binary)))
        stamp.write_text(digest)
    return path.stat().st_size


def main() -> int:
    OUT.mkdir(parents=True, exist_ok=True)
    failures = []
    print(f"    {'function':<10} {'zip bytes':>10} {'limit':>10}   newest GLIBC (limit {GLIBC[0]}.{GLIBC[1]})")
    for function in LIMITS:
        if not (RELEASE / function).is_file():
            print(f"error: {RELEASE / function} is missing: run `make package`", file=sys.stderr)
            return 1
    with ProcessPoolExecutor() as pool:
        sizes = list(pool.map(pack, LIMITS))
    for (function, limit), size in zip(LIMITS.items(), sizes, strict=True):
        binary = RELEASE / function
        glibc = newest_glibc(binary.read_bytes())
        print(f"    {function:<10} {size:>10,} {limit:>10,}   {glibc[0]}.{glibc[1]}")
        if size > limit:
            failures.append(f"{function}.zip has {size:,} bytes, limit {limit:,}")
        if glibc > GLIBC:
            failures.append(f"{function} needs GLIBC {glibc[0]}.{glibc[1]}, limit {GLIBC[0]}.{GLIBC[1]}")
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
