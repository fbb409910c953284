"""The word list: 80,000 words of several languages with their frequency, from PyPI `wordfreq` (data: CC BY-SA 4.0).

ASCII-folded, since host names are; `zipf` is log10 of occurrences per billion words, weighted over languages as
the web's names are (English most). Very short words must be frequent, or every string falls apart into words.
"""

import re
import unicodedata
from pathlib import Path

LIMIT = 80_000
LANGUAGES = {
    "en": 0.46, "es": 0.08, "fr": 0.08, "de": 0.08, "pt": 0.06, "it": 0.06, "pl": 0.05, "nl": 0.04, "tr": 0.03,
    "id": 0.03, "ru": 0.03,
}  # fmt: skip
# Least zipf value of a word of that length; longer words have no minimum beyond the limit on their number.
SHORT = {1: 99.0, 2: 5.3, 3: 4.3}
_WORD = re.compile(r"[a-z][a-z0-9]{1,23}\Z")
_FOLD = str.maketrans({"ß": "ss", "ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "ı": "i", "đ": "d"})
_RUSSIAN = dict(zip(
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch _ y _ e yu ya".replace("_", "").split(" "),
))  # fmt: skip


def fold(word: str) -> str:
    """ASCII form as it would stand in a host name: accents off, Cyrillic transliterated."""
    word = "".join(_RUSSIAN.get(c, c) for c in word.lower()).translate(_FOLD)
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))


def word_list(limit: int = LIMIT) -> list[tuple[str, float]]:
    """Words and zipf values, most frequent first."""
    import math

    from wordfreq import get_frequency_dict

    total: dict[str, float] = {}
    for language, weight in LANGUAGES.items():
        for word, frequency in get_frequency_dict(language, wordlist="best").items():
            folded = fold(word)
            if _WORD.match(folded):
                total[folded] = total.get(folded, 0.0) + weight * frequency
    zipf = {w: math.log10(f * 1e9) for w, f in total.items()}
    kept = [(w, z) for w, z in zipf.items() if z >= SHORT.get(len(w), -9.0)]
    kept.sort(key=lambda x: (-x[1], x[0]))
    return kept[:limit]


def write(path: Path, limit: int = LIMIT) -> int:
    """Writes `word<TAB>zipf`, sorted by word; returns the number of words."""
    words = sorted(word_list(limit))
    path.write_text("".join(f"{w}\t{z:.2f}\n" for w, z in words))
    return len(words)
