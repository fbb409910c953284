#!/usr/bin/env python3
"""Makes the data sets that sources.toml reads, of a folder of snapshots.

    build.py FOLDER [--out FOLDER] [--tribunal BINARY]

FOLDER holds, plain or as .zst:

    feed_sightings.csv   feed,entity,kind,...     addresses (and domains) on feeds
    ip_asn.csv           start,end,asn            announced IPv4 ranges; IPv6 ones are passed over
    bad_asn.csv          asn,name                 systems known for abuse
    hosting_ranges.csv   type,provider,cidr       datacenter, cloud, vpn

Written: sightings.tds, systems.tds, bad_asn.tds, hosting.tds. Of an autonomous system only counts of at least LEAST
are kept: below that, one address on a feed would be recognised by its system.
"""

import argparse
import bisect
import csv
import io
import ipaddress
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

LEAST = 5
C2 = "c2-tracker/"
REFUSED_SOME = 3


def lines(folder: Path, name: str) -> Iterator[dict[str, str]]:
    """The rows of a file, plain or compressed."""
    plain = folder / name
    if plain.exists():
        text = plain.read_text()
    else:
        done = subprocess.run(["zstd", "-dcq", folder / f"{name}.zst"], capture_output=True, check=True)
        text = done.stdout.decode()
    return csv.DictReader(io.StringIO(text))


def systems(folder: Path) -> str:
    """CSV: how many addresses of each system are on feeds."""
    ranges = sorted(
        (int(ipaddress.IPv4Address(r["start"])), int(ipaddress.IPv4Address(r["end"])), int(r["asn"]))
        for r in lines(folder, "ip_asn.csv") if ":" not in r["start"]
    )  # fmt: skip
    starts = [start for start, _, _ in ranges]
    size: Counter[int] = Counter()
    for start, end, asn in ranges:
        size[asn] += end - start + 1
    seen: dict[str, bool] = {}
    for row in lines(folder, "feed_sightings.csv"):
        if row["kind"] == "ip" and ":" not in row["entity"]:
            seen[row["entity"]] = seen.get(row["entity"], False) or row["feed"].startswith(C2)
    listed: Counter[int] = Counter()
    c2: Counter[int] = Counter()
    for address, is_c2 in seen.items():
        number = int(ipaddress.IPv4Address(address))
        at = bisect.bisect_right(starts, number) - 1
        if at >= 0 and number <= ranges[at][1]:
            listed[ranges[at][2]] += 1
            c2[ranges[at][2]] += is_c2
    rows = ((asn, n, c2[asn], round(1e6 * n / size[asn], 3)) for asn, n in sorted(listed.items()) if n >= LEAST)
    return "asn,listed,c2,per_million\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


def build(tribunal: str, source: Path, out: Path, *arguments: str) -> None:
    """One data set; rows whose key is none are left out."""
    done = subprocess.run([tribunal, "dataset", "build", source, "-o", out, *arguments])
    if done.returncode not in (0, REFUSED_SOME):
        sys.exit(done.returncode)


def main() -> None:
    """Builds all of them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder with the snapshots")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where the data sets go")
    parser.add_argument("--tribunal", default="tribunal", help="the binary")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)

    def found(name: str) -> Path:
        plain = given.folder / name
        return plain if plain.exists() else given.folder / f"{name}.zst"

    counts = given.out / "systems.csv"
    counts.write_text(systems(given.folder))
    make = [
        (counts, "systems.tds", ["--key", "asn"]),
        (found("feed_sightings.csv"), "sightings.tds", ["--key", "entity", "--columns", "feed"]),
        (found("bad_asn.csv"), "bad_asn.tds", ["--key", "asn"]),
        (found("hosting_ranges.csv"), "hosting.tds", ["--key", "cidr", "--columns", "type,provider"]),
    ]
    for source, name, arguments in make:
        build(given.tribunal, source, given.out / name, *arguments)
    counts.unlink()


if __name__ == "__main__":
    main()
