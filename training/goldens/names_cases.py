"""Regenerates the goldens of `crates/characters`: a network of random weights, and its margins of made-up hosts.

    python training/goldens/names_cases.py crates/characters/tests/data

Needs numpy alone. The network is that of `training/tests/test_names.py`, and the names are of no list.
"""

import json
import struct
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "tests")]

from test_names import made_up_network  # noqa: E402

from tribunal_training.charnet import made_up_hosts  # noqa: E402

EDGES = ["", "com", "www.com", "www.www.com", ".", "a..b", "a^$_é.net", "co.uk", f"{'ab' * 120}.zz", "A.COM"]


def main() -> None:
    """Writes the file and its margins."""
    folder, network = Path(sys.argv[1]), made_up_network()
    network.save(folder / "network.bin")
    hosts = [*EDGES, *made_up_hosts(200)]
    golden = {"hosts": hosts, "margin_bits": [struct.pack(">d", m).hex() for m in network.margin(hosts)]}
    (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
