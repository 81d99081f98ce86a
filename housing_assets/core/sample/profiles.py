"""The metros of the sample and the zips that each has."""

from dataclasses import dataclass

import numpy as np

from housing_assets.core.panel.metros import METROS
from housing_assets.core.sample.draws import Ints


@dataclass(frozen=True)
class _Profile:
    """How one metro looks in the sample.

    Attributes:
        share: of all zips (relative weight), as in the real panel.
        price: typical price over 2012-2023, in US dollars.
        spread: standard deviation of the zips' log prices.
        people: population of its zips, relative to all zips.
        states: suffix the Census writes after the name.
        prefixes: first three digits of its zips; no prefix belongs to two metros.
    """

    share: float
    price: float
    spread: float
    people: float
    states: str
    prefixes: str


# Shares, levels and spreads: rounded figures of the real panel, smoothed where a metro has few zips.
PROFILES: dict[str, _Profile] = {
    "ATL": _Profile(30, 200e3, 0.52, 1.15, "GA", "300 301 302 303 305 306"),
    "ATX": _Profile(10, 340e3, 0.47, 1.05, "TX", "765 787 789"),
    "BOS": _Profile(46, 447e3, 0.50, 0.90, "MA-NH", "014 017 018 019 020 021 022 023 024 027 030 038"),
    "BWI": _Profile(21, 330e3, 0.52, 0.80, "MD", "210 211 212 216"),
    "CHI": _Profile(67, 205e3, 0.48, 1.20, "IL-IN", "463 464 600 601 602 603 604 605 606 607"),
    "CIN": _Profile(28, 158e3, 0.43, 0.75, "OH-KY-IN", "410 450 451 452 470"),
    "CLT": _Profile(17, 175e3, 0.55, 1.00, "NC-SC", "280 281 282 297"),
    "DAL": _Profile(39, 225e3, 0.52, 1.20, "TX", "750 751 752 754 760 761 762"),
    "DC": _Profile(45, 420e3, 0.42, 1.05, "DC-VA-MD-WV", "200 201 206 207 208 209 217 220 221 222 223 226"),
    "DEN": _Profile(19, 365e3, 0.43, 1.15, "CO", "800 801 802 804 806"),
    "DET": _Profile(34, 145e3, 0.78, 1.05, "MI", "480 481 482 483 484"),
    "HOU": _Profile(25, 198e3, 0.48, 1.30, "TX", "770 773 774 775 776"),
    "LA": _Profile(72, 655e3, 0.55, 1.50, "CA",
                   "900 902 904 906 907 908 910 911 912 913 914 915 916 917 926 927 928 935"),
    "LV": _Profile(11, 235e3, 0.33, 1.40, "NV", "889 890 891"),
    "MIA": _Profile(33, 310e3, 0.62, 1.40, "FL", "330 331 333 334"),
    "MSP": _Profile(31, 265e3, 0.36, 0.80, "MN-WI", "540 550 551 553 554 563"),
    "NY": _Profile(131, 490e3, 0.56, 1.05, "NY-NJ",
                   "070 071 072 073 074 075 076 077 078 079 085 086 087 088 "
                   "100 103 104 105 106 107 108 109 110 111 112 113 114 115 117 119"),
    "ORL": _Profile(18, 225e3, 0.42, 1.20, "FL", "321 327 328 347"),
    "PDX": _Profile(14, 350e3, 0.35, 0.95, "OR-WA", "970 972 986"),
    "PGH": _Profile(50, 132e3, 0.52, 0.45, "PA", "150 151 152 153 154 156 160"),
    "PHL": _Profile(55, 240e3, 0.55, 0.90, "PA-NJ-DE-MD", "080 081 083 189 190 191 193 194 197 198 219"),
    "PHX": _Profile(23, 280e3, 0.50, 1.30, "AZ", "850 851 852 853"),
    "RIV": _Profile(22, 270e3, 0.50, 1.30, "CA", "922 923 924 925"),
    "SA": _Profile(22, 190e3, 0.52, 1.00, "TX", "780 781 782 788"),
    "SAC": _Profile(23, 375e3, 0.48, 0.90, "CA", "956 957 958"),
    "SD": _Profile(17, 640e3, 0.45, 1.45, "CA", "919 920 921"),
    "SEA": _Profile(17, 440e3, 0.42, 1.05, "WA", "980 981 983 984"),
    "SF": _Profile(29, 900e3, 0.50, 1.15, "CA", "940 941 944 945 946 949"),
    "STL": _Profile(32, 150e3, 0.55, 0.60, "MO-IL", "620 622 630 631 633"),
    "TPA": _Profile(21, 200e3, 0.48, 1.05, "FL", "335 336 337 346"),
}  # fmt: skip

ZIPS_PER_PREFIX = 100

_SUFFIX_STEP = 37  # coprime to 100: walks over all suffixes of a prefix once


def _allocate(zips: int) -> list[int]:
    """Zips of each metro: by share, largest remainder first, never more than its prefixes hold."""
    share = np.array([PROFILES[m.code].share for m in METROS])
    room = np.array([ZIPS_PER_PREFIX * len(PROFILES[m.code].prefixes.split()) for m in METROS])
    counts = np.zeros(len(METROS), dtype=int)
    while (left := zips - int(counts.sum())) > 0:
        quota = np.where(counts < room, share, 0)
        quota = quota / quota.sum() * left
        step = np.floor(quota).astype(int)
        ahead = np.argsort(step - quota, kind="stable")[: left - int(step.sum())]
        step[ahead] += 1
        counts = np.minimum(counts + step, room)
    return counts.tolist()


def zip_table(zips: int) -> tuple[list[str], Ints]:
    """All zips in order, and the place in METROS of each one's metro."""
    pairs: list[tuple[str, int]] = []
    for place, (metro, count) in enumerate(zip(METROS, _allocate(zips), strict=True)):
        prefixes = PROFILES[metro.code].prefixes.split()
        for i in range(count):
            suffix = (i // len(prefixes) * _SUFFIX_STEP + 1) % ZIPS_PER_PREFIX
            pairs.append((f"{prefixes[i % len(prefixes)]}{suffix:02d}", place))
    pairs.sort()
    return [p[0] for p in pairs], np.array([p[1] for p in pairs], dtype=np.int64)
