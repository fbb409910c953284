#!/usr/bin/env python3
"""Packs each function's release binary as a Lambda zip, and holds it to its limits.

`target/release/<function>` becomes `bootstrap` in `target/lambda/<function>.zip`. The same binary gives the same
zip, byte for byte: no times, fixed mode. Two gates, each named when it fails:
  size    the zip's bytes, since a cold start downloads it;
  GLIBC   the newest symbol version that the binary asks for: Amazon Linux 2023 has 2.34.
Models and data sets are not in here: functions read them from the bucket.
"""

import re
import sys
import zipfile
from pathlib import Path

MB = 1_000_000
LIMITS = {"dispatch": 3 * MB, "extract": 5 * MB, "predict": 2 * MB, "ensemble": 4 * MB}
GLIBC = (2, 34)
RELEASE = Path("target/release")
OUT = Path("target/lambda")


def newest_glibc(binary: bytes) -> tuple[int, int]:
    """The newest GLIBC_x.y among the binary's symbol versions."""
    versions = re.findall(rb"GLIBC_(\d+)\.(\d+)", binary)
    return max(((int(a), int(b)) for a, b in versions), default=(0, 0))


def pack(function: str) -> int:
    """Writes the zip and returns its size."""
    entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    path = OUT / f"{function}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(entry, (RELEASE / function).read_bytes(), compresslevel=9)
    return path.stat().st_size


def main() -> int:
    OUT.mkdir(parents=True, exist_ok=True)
    failures = []
    print(f"    {'function':<10} {'zip bytes':>10} {'limit':>10}   newest GLIBC (limit {GLIBC[0]}.{GLIBC[1]})")
    for function, limit in LIMITS.items():
        binary = RELEASE / function
        if not binary.is_file():
            print(f"error: {binary} is missing: run `make package`", file=sys.stderr)
            return 1
        size = pack(function)
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
