"""Rows with their features: what every trainer takes, whether it reads the vector or the entity's text."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .data import stable_unit


@dataclass(frozen=True)
class Sample:
    """Rows of one kind of entity.

    x: float32, one row per entity, NaN for missing; rows: the same entities in the same order (`entity`, `label`,
    `family`, `source`, `group`, `day`, ...); names: the columns of x.
    """

    x: np.ndarray
    rows: pd.DataFrame
    names: list[str]

    def __post_init__(self) -> None:
        if self.x.shape != (len(self.rows), len(self.names)):
            raise ValueError(f"{self.x.shape} values for {len(self.rows)} rows and {len(self.names)} names")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> np.ndarray:
        """1 malicious, 0 benign."""
        return self.rows["label"].to_numpy()

    @property
    def hosts(self) -> list[str]:
        """The entities as they are asked for."""
        return self.rows["entity"].tolist()

    def bounded(self, most: int) -> "Sample":
        """At most about `most` rows, whole groups; the same ones for the same data."""
        if len(self) <= most:
            return self
        unit = {g: stable_unit(g, "bounded") for g in self.rows["group"].unique()}
        return self.take(np.flatnonzero(self.rows["group"].map(unit).to_numpy() < most / len(self)))

    def take(self, positions: np.ndarray) -> "Sample":
        """These rows."""
        return Sample(self.x[positions], self.rows.iloc[positions], self.names)
