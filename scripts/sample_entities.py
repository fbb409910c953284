#!/usr/bin/env python3
"""Writes sample entities, one a line: what the demo and the end-to-end tests enqueue.

Four groups: names that everyone knows, reserved names and addresses, look-alikes of known brands, and names as
malware's generators make them. The last two are made here, from a seed: they are inventions, and no list of real
malicious names is copied. The same seed gives the same list.

    sample_entities.py [--seed N] [--lookalikes N] [--generated N]
"""

import argparse
import random

KNOWN = """
google.com youtube.com wikipedia.org github.com stackoverflow.com mozilla.org debian.org python.org rust-lang.org
amazon.com apple.com microsoft.com netflix.com spotify.com dropbox.com slack.com zoom.us adobe.com oracle.com ibm.com
bbc.co.uk theguardian.com nytimes.com lemonde.fr spiegel.de elpais.com repubblica.it asahi.com reuters.com nature.com
cloudflare.com fastly.com akamai.com digitalocean.com ovhcloud.com heroku.com netlify.com vercel.com atlassian.com
paypal.com visa.com mastercard.com hsbc.co.uk santander.com bnpparibas.com deutsche-bank.de stripe.com
harvard.edu mit.edu ox.ac.uk ethz.ch u-tokyo.ac.jp who.int un.org europa.eu nasa.gov service-public.fr
mercadolibre.com.ar flipkart.com rakuten.co.jp zalando.de otto.de leboncoin.fr allegro.pl booking.com airbnb.com
docs.python.org en.wikipedia.org mail.google.com cdn.jsdelivr.net fonts.googleapis.com static.cloudflareinsights.com
api.github.com login.microsoftonline.com www.bbc.co.uk crates.io npmjs.com pypi.org kernel.org gnu.org w3.org ietf.org
""".split()

ADDRESSES = """
8.8.8.8 1.1.1.1 9.9.9.9 208.67.222.222 140.82.112.3 151.101.1.69 104.16.132.229 193.0.6.139
2001:4860:4860::8888 2606:4700:4700::1111 2620:fe::fe
""".split()

RESERVED = """
localhost printer.local example.com intranet.test host.invalid router.home.arpa 127.0.0.1 10.0.0.1 192.168.1.1
169.254.169.254 172.16.5.4 100.64.0.1 192.0.2.7 203.0.113.9 224.0.0.1 ::1 fe80::1 fd00::1 2001:db8::1
""".split()

BRANDS = "paypal apple microsoft amazon netflix google facebook instagram dropbox coinbase binance dhl".split()
LURES = "login secure account verify update support billing wallet invoice signin alert unlock".split()
CHEAP_SUFFIXES = "com net info xyz top online site icu click live shop".split()
SWAPS = {"o": "0", "l": "1", "i": "1", "e": "3", "a": "4", "m": "rn"}
WORDS = "silver river garden north market window paper winter bright stone simple method travel harbor copper".split()


def lookalike(rng: random.Random) -> str:
    """A brand, changed by one look-alike character or one slip of the keyboard, with a lure."""
    brand = rng.choice(BRANDS)
    at = rng.randrange(1, len(brand))
    kind = rng.randrange(4)
    if kind == 0:
        swappable = [i for i, c in enumerate(brand) if c in SWAPS] or [0]
        i = rng.choice(swappable)
        brand = brand[:i] + SWAPS.get(brand[i], brand[i] * 2) + brand[i + 1 :]
    elif kind == 1:
        brand = brand[:at] + brand[at - 1] + brand[at:]
    elif kind == 2:
        brand = brand[: at - 1] + brand[at] + brand[at - 1] + brand[at + 1 :]
    lure, suffix = rng.choice(LURES), rng.choice(CHEAP_SUFFIXES)
    shape = rng.choice(["{b}-{l}.{s}", "{l}-{b}.{s}", "{b}.{l}-center.{s}", "{l}.{b}-id{n}.{s}", "www.{b}{l}.{s}"])
    return shape.format(b=brand, l=lure, s=suffix, n=rng.randrange(10, 999))


def generated(rng: random.Random) -> str:
    """A name as a generation algorithm makes it: random letters, hexadecimal digits, or joined words."""
    suffix = rng.choice(["com", "net", "org", "info", "biz", "ru", "cc", "xyz", "top"])
    kind = rng.randrange(3)
    if kind == 0:
        name = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randrange(10, 22)))
    elif kind == 1:
        name = "".join(rng.choice("0123456789abcdef") for _ in range(rng.randrange(16, 32)))
    else:
        name = rng.choice(WORDS) + rng.choice(WORDS) + rng.choice(["", str(rng.randrange(10, 99))])
    return f"{name}.{suffix}"


def unique(make, count: int, rng: random.Random) -> list[str]:
    """`count` different results of `make`."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[make(rng)] = None
    return list(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lookalikes", type=int, default=60)
    parser.add_argument("--generated", type=int, default=60)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    entities = KNOWN + ADDRESSES + RESERVED
    entities += unique(lookalike, args.lookalikes, rng) + unique(generated, args.generated, rng)
    rng.shuffle(entities)
    print("\n".join(entities))


if __name__ == "__main__":
    main()
