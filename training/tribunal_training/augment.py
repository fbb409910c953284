"""What training rows are given so that the style of the lists is not learnt: subdomains, and missing networks.

Benign lists hold registrable domains; what is asked in practice is `api-eu2.cdn.example.com`. Without these rows a
model takes any subdomain for a sign of malice. Malicious names get some too, so that a subdomain alone is no
sign of innocence. The vocabulary is general knowledge of host names, not taken from any list.
"""

import random

import numpy as np
import pandas as pd

from . import config
from .data import stable_unit

SERVICES = (
    "www api cdn static assets img images media m mobile mail smtp imap pop webmail mx ns1 ns2 dns vpn remote login "
    "accounts account auth sso id my portal secure pay checkout shop store blog news forum help support docs wiki "
    "status dev test staging beta demo admin app apps web data files download downloads dl update updates cloud "
    "git jenkins grafana monitor stats analytics metrics telemetry events log logs track tracking ads ad pixel tags "
    "push notify ws socket stream live video vod music maps geo weather search graph feed rss gateway edge proxy cache "
    "origin lb node config settings sync backup ftp sftp autodiscover lyncdiscover sip meet chat crm erp intranet "
    "learn edu library jobs careers events2 partner partners developer developers sandbox en de fr es it pl ru cn jp"
).split()
REGIONS = "us eu uk de fr ap sa cn jp us-east-1 us-west-2 eu-west-1 eu-central-1 ap-southeast-1 ams fra lon nyc sjc lax sin hkg".split()
STAGES = "prod stage staging dev qa uat int".split()


def _token(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.5:
        return "".join(rng.choice("0123456789abcdef") for _ in range(rng.choice([6, 8, 12, 16, 32])))
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(rng.randint(5, 14)))


def _label(rng: random.Random) -> str:
    kind = rng.random()
    service = rng.choice(SERVICES)
    if kind < 0.55:
        return service
    if kind < 0.68:
        return f"{service}{rng.randint(1, 40)}"
    if kind < 0.80:
        return f"{service}-{rng.choice(REGIONS)}"
    if kind < 0.88:
        return rng.choice(REGIONS)
    if kind < 0.93:
        return f"{service}-{rng.choice(STAGES)}"
    return _token(rng)


def subdomain(rng: random.Random) -> str:
    """One to four labels, mostly one."""
    count = rng.choices([1, 2, 3, 4], weights=[62, 26, 9, 3])[0]
    return ".".join(_label(rng) for _ in range(count))


def add_subdomains(rows: pd.DataFrame, seed: int = config.SEED) -> pd.DataFrame:
    """Gives a share of the domains that stand bare on a list a subdomain; deterministic per entity."""
    rows = rows.copy()
    entities = []
    for entity, kind, label, group in zip(rows["entity"], rows["kind"], rows["label"], rows["group"]):
        share = config.SUBDOMAIN_SHARE["malicious" if label else "benign"]
        if kind == "domain" and entity == group and stable_unit(entity, f"subdomain {seed}") < share:
            longer = f"{subdomain(random.Random(f'{seed} {entity}'))}.{entity}"
            entity = longer if len(longer) <= 253 else entity
        entities.append(entity)
    rows["entity"] = entities
    return rows


def mask_networks(x: np.ndarray, names: list[str], seed: int = config.SEED) -> np.ndarray:
    """Sets what comes from the address data set to missing in a share of the rows."""
    columns = [i for i, name in enumerate(names) if name.startswith(config.DATA_SET_FEATURES)]
    masked = np.random.default_rng(seed).random(len(x)) < config.MASKED_SHARE
    x = x.copy()
    x[np.ix_(masked, columns)] = np.nan
    return x
