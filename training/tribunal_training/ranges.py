"""IPv4 ranges of autonomous systems and countries, for fitting rates (features look addresses up in Rust)."""

import ipaddress
from pathlib import Path

import numpy as np
import pandas as pd


def _starts_ends(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    def numbers(column: pd.Series) -> np.ndarray:
        octets = column.str.split(".", expand=True).astype("int64").to_numpy()
        return octets @ np.array([1 << 24, 1 << 16, 1 << 8, 1])

    return numbers(frame[0]), numbers(frame[1])


def merged(cidrs: list[str]) -> list[tuple[int, int]]:
    """Disjoint, sorted, inclusive IPv4 intervals that cover the given networks; others are passed over."""
    v4 = [ipaddress.ip_network(c, strict=False) for c in cidrs if ":" not in c]
    networks = ipaddress.collapse_addresses(n for n in v4 if n.version == 4)
    return [(int(n.network_address), int(n.broadcast_address)) for n in networks]


class AddressTable:
    """`start,end,asn,...` and `start,end,country` files as sorted arrays."""

    def __init__(self, asn_csv: Path, country_csv: Path):
        asn = pd.read_csv(asn_csv, header=None, usecols=[0, 1, 2], dtype=str, keep_default_na=False)
        self.asn_start, self.asn_end = _starts_ends(asn)
        self.asn = asn[2].astype("int64").to_numpy()
        country = pd.read_csv(country_csv, header=None, dtype=str, keep_default_na=False)
        self.country_start, self.country_end = _starts_ends(country)
        self.country = country[2].to_numpy()

    def annotate(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Adds `asn` (0 unknown) and `country` ("" unknown) to the rows of IPv4 addresses."""
        rows = rows.copy()
        v4 = (rows["kind"] == "ip") & ~rows["entity"].str.contains(":", regex=False)
        numbers = np.array([int(ipaddress.IPv4Address(a)) for a in rows.loc[v4, "entity"]], dtype="int64")
        rows["asn"], rows["country"] = 0, ""
        rows.loc[v4, "asn"] = _find(numbers, self.asn_start, self.asn_end, self.asn, 0)
        rows.loc[v4, "country"] = _find(numbers, self.country_start, self.country_end, self.country, "")
        return rows

    def share_inside(self, cidrs: list[str]) -> dict[int, float]:
        """For each AS the share of its addresses inside the networks."""
        intervals = merged(cidrs)
        starts = np.array([a for a, _ in intervals])
        sizes = np.array([b - a + 1 for a, b in intervals])
        before = np.concatenate([[0], np.cumsum(sizes)])

        def covered(below: np.ndarray) -> np.ndarray:
            """Addresses of the networks less than `below`."""
            i = np.searchsorted(starts, below, side="left")
            last = np.maximum(i - 1, 0)
            partial = np.minimum(below - starts[last], sizes[last])
            return np.where(i == 0, 0, before[last] + partial)

        inside = covered(self.asn_end + 1) - covered(self.asn_start)
        frame = pd.DataFrame({"asn": self.asn, "inside": inside, "size": self.asn_end - self.asn_start + 1})
        total = frame.groupby("asn").sum()
        return (total["inside"] / total["size"]).to_dict()


def _find(numbers: np.ndarray, start: np.ndarray, end: np.ndarray, value: np.ndarray, none: object) -> np.ndarray:
    i = np.searchsorted(start, numbers, side="right") - 1
    hit = (i >= 0) & (numbers <= end[np.maximum(i, 0)])
    return np.where(hit, value[np.maximum(i, 0)], none)
