"""The part format `tribunal-charnet`: the text that a network over characters reads, and its integer arithmetic.

`crates/characters/FORMAT.md` has both in full; this is the trainer's side of it. Margins are the same to the bit:
every sum is of integers that cannot overflow, so its order does not matter.
"""

import random
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FORMAT = "tribunal-charnet"
MAX_SYMBOLS = 48
SYMBOLS = "^$.-_abcdefghijklmnopqrstuvwxyz0123456789?"
PAD = len(SYMBOLS)
SECOND_LEVELS = frozenset("ac biz co com edu gob gov go info mil ne net nom or org gouv web".split())
CHUNK = 2048

_CODE = np.full(256, SYMBOLS.index("?"), np.uint8)
for _position, _symbol in enumerate(SYMBOLS):
    if _symbol not in "^$":
        _CODE[ord(_symbol)] = _position


def text(host: str) -> tuple[str, str]:
    """What stands before the suffix, and the suffix."""
    host = host.removeprefix("www.")
    labels = host.split(".")
    count = 2 if len(labels) >= 3 and len(labels[-1].encode()) == 2 and labels[-2] in SECOND_LEVELS else 1
    return ".".join(labels[:-count]), ".".join(labels[-count:])


def encode(hosts: list[str]) -> tuple[np.ndarray, list[str]]:
    """Symbols (host x 48, padded behind) and suffixes."""
    symbols = np.full((len(hosts), MAX_SYMBOLS), PAD, np.uint8)
    suffixes = []
    for row, host in zip(symbols, hosts, strict=True):
        body, suffix = text(host)
        code = [0, *_CODE[np.frombuffer(body.encode(), np.uint8)], 1][-MAX_SYMBOLS:]
        row[: len(code)] = code
        suffixes.append(suffix)
    return symbols, suffixes


def made_up_hosts(count: int, seed: int = 7) -> list[str]:
    """Names of no list, of all lengths, for goldens."""
    rng = random.Random(seed)
    label = lambda: "".join(rng.choice(SYMBOLS[3:-1]) for _ in range(rng.choice([1, 3, 8, 12, 30, 63])))  # noqa: E731
    tails = ["com", "co.uk", "zz", "org.br", "xn--p1ai", "net"]
    return [".".join([*(label() for _ in range(rng.randint(1, 3))), rng.choice(tails)]) for _ in range(count)]


@dataclass
class Network:
    """A network in integers; shapes as in the file.

    convolutions: (bias [filter], table [position, symbol, filter]); vectors: [1 + suffix, number], the first one for
    suffixes that are not known; hidden: [unit, input].
    """

    convolutions: list[tuple[np.ndarray, np.ndarray]]
    suffixes: list[str]
    vectors: np.ndarray
    hidden_bias: np.ndarray
    hidden: np.ndarray
    output: np.ndarray
    output_bias: int
    shift: int
    means: np.ndarray
    base: float = 0.0

    def inputs(self, symbols: np.ndarray, suffixes: list[str]) -> np.ndarray:
        """What the hidden layer reads: every filter's greatest value, at least 0, and the suffix's vector."""
        known = {suffix: i + 1 for i, suffix in enumerate(self.suffixes)}
        rows = np.array([known.get(suffix, 0) for suffix in suffixes], np.int64)
        length = max(int((symbols != PAD).sum(1).max()), 1)
        pools = []
        for bias, table in self.convolutions:
            width = len(table)
            padded = np.pad(symbols[:, :length], ((0, 0), (0, width - 1)), constant_values=PAD)
            table = np.concatenate([table, np.zeros_like(table[:, :1])], axis=1)
            values = np.repeat(np.repeat(bias[None, None], length, 1), len(symbols), 0)
            for position in range(width):
                values += table[position][padded[:, position : position + length]]
            values[symbols[:, :length] == PAD] = 0
            pools.append(np.maximum(values.max(1), 0))
        return np.concatenate([*pools, self.vectors[rows]], axis=1)

    def head(self, inputs: np.ndarray) -> np.ndarray:
        """Margins. Double precision holds the hidden layer's sums exactly: they are below 2^31."""
        hidden = inputs.astype("float64") @ self.hidden.T.astype("float64") + self.hidden_bias
        hidden = np.maximum(hidden, 0).astype(np.int64)
        output = hidden @ self.output.astype(np.int64) + self.output_bias
        return output.astype("float64") * 2.0**-self.shift

    def _chunks(self, hosts: list[str]):
        """Positions and inputs, names of like length together."""
        symbols, suffixes = encode(hosts)
        order = np.argsort((symbols != PAD).sum(1), kind="stable")
        for at in range(0, len(order), CHUNK):
            chunk = order[at : at + CHUNK]
            yield chunk, self.inputs(symbols[chunk], [suffixes[i] for i in chunk])

    def margin(self, hosts: list[str]) -> np.ndarray:
        """Log odds of every host."""
        out = np.zeros(len(hosts))
        for chunk, inputs in self._chunks(hosts):
            out[chunk] = self.head(inputs)
        return out

    def settle(self, hosts: list[str]) -> None:
        """Sets the means that explanations start from, over these hosts."""
        total, margin = np.zeros(len(self.means)), 0.0
        for _, inputs in self._chunks(hosts):
            total += inputs.sum(0, dtype=np.int64)
            margin += float(self.head(inputs).sum())
        self.means = np.rint(total / len(hosts)).astype("<i2")
        self.base = margin / len(hosts)

    def to_bytes(self) -> bytes:
        """The file."""
        counts = (len(self.convolutions), len(SYMBOLS), self.vectors.shape[1], len(self.hidden), len(self.suffixes), self.shift)
        out = [b"TRBCHAR1", struct.pack("<6Hd", *counts, self.base)]
        for bias, table in self.convolutions:
            out += [struct.pack("<2H", len(table), len(bias)), bias.astype("<i2").tobytes(), table.astype("<i2").tobytes()]
        out += [self.vectors.astype("<i2").tobytes(), self.means.astype("<i2").tobytes()]
        out += [self.hidden_bias.astype("<i4").tobytes(), self.hidden.astype("<i2").tobytes()]
        out += [self.output.astype("<i2").tobytes(), struct.pack("<q", self.output_bias)]
        out += [struct.pack("B", len(suffix)) + suffix.encode() for suffix in self.suffixes]
        return b"".join(out)

    @staticmethod
    def parse(content: bytes) -> "Network":
        """From a file that this package wrote; what others wrote is checked in Rust."""
        if content[:8] != b"TRBCHAR1":
            raise ValueError("not a network over characters")
        at = 8

        def numbers(kind: str, *shape: int) -> np.ndarray:
            nonlocal at
            count = int(np.prod(shape, dtype=int))
            values = np.frombuffer(content, kind, count, at).reshape(shape)
            at += values.nbytes
            return values.copy()

        convolutions, symbols, embedding, units, suffixes, shift = (int(n) for n in numbers("<u2", 6))
        base, read = float(numbers("<f8", 1)[0]), []
        for _ in range(convolutions):
            width, filters = (int(n) for n in numbers("<u2", 2))
            read.append((numbers("<i2", filters), numbers("<i2", width, symbols, filters)))
        inputs = sum(len(bias) for bias, _ in read) + embedding
        vectors, means = numbers("<i2", suffixes + 1, embedding), numbers("<i2", inputs)
        hidden_bias, hidden = numbers("<i4", units), numbers("<i2", units, inputs)
        output, output_bias = numbers("<i2", units), int(numbers("<i8", 1)[0])
        names = [bytes(numbers("u1", int(numbers("u1", 1)[0]))).decode() for _ in range(suffixes)]
        return Network(read, names, vectors, hidden_bias, hidden, output, output_bias, shift, means, base)

    def save(self, path: Path) -> None:
        """Writes the file."""
        Path(path).write_bytes(self.to_bytes())


def quantise(
    tables: list[np.ndarray], biases: list[np.ndarray], vectors: np.ndarray, suffixes: list[str],
    hidden: np.ndarray, hidden_bias: np.ndarray, output: np.ndarray, output_bias: float,
) -> Network:  # fmt: skip
    """From real weights to the finest powers of two at which no sum can overflow. `hidden` is [input, unit]."""
    reach = max(float((np.abs(t).max(1).sum(0) + np.abs(b)).max()) for t, b in zip(tables, biases, strict=True))
    first = _exponent(max(reach, float(np.abs(vectors).max())), 32_000, 12)
    scale = 2.0**first
    whole = [np.rint(t * scale).astype("<i2") for t in tables]
    bias = [np.rint(b * scale).astype("<i2") for b in biases]
    vectors = np.rint(vectors * scale).astype("<i2")
    caps = [np.abs(t.astype(int)).max(1).sum(0) + np.abs(b.astype(int)) for t, b in zip(whole, bias, strict=True)]
    caps = np.concatenate([*caps, np.abs(vectors.astype(int)).max(0)]) + 1
    sums = (caps @ np.abs(hidden) + np.abs(hidden_bias) * scale).max()
    second = min(_exponent(float(np.abs(hidden).max()), 32_000, 14), _exponent(float(sums), 2**30.9, 14))
    third = _exponent(float(np.abs(output).max()), 32_000, 14)
    return Network(
        list(zip(bias, whole, strict=True)), suffixes, vectors,
        np.rint(hidden_bias * 2.0 ** (first + second)).astype("<i4"),
        np.ascontiguousarray(np.rint(hidden.T * 2.0**second).astype("<i2")),
        np.rint(output * 2.0**third).astype("<i2"), int(np.rint(output_bias * 2.0 ** (first + second + third))),
        first + second + third, np.zeros(len(hidden), "<i2"),
    )  # fmt: skip


def _exponent(greatest: float, limit: float, most: int) -> int:
    """The greatest power of two, up to `most`, by which `greatest` stays within `limit`."""
    if greatest > limit:
        raise ValueError(f"a weight or a sum of {greatest} does not fit: the training has diverged")
    return min(most, int(np.floor(np.log2(limit / max(greatest, 1e-9)))))
