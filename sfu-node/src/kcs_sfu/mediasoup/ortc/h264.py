"""H.264 `profile-level-id` (RFC 6184 section 8.1): parse, compare, and choose the answer's.

Ported from npm's h264-profile-level-id 2.3.3, which mediasoup uses. The PyPI package of that name
follows an older release: it lacks High 4:4:4 Predictive, takes "+4_2e0" for hexadecimal, and raises
on a number.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

_HEX = re.compile(r"[0-9a-fA-F]{6}")
_LEVEL_1B = 0
_LEVEL_1 = 10
_LEVEL_1_1 = 11
_LEVELS = frozenset({10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52})
"""Ten times the level's number; 1b is the exception."""
_CONSTRAINT_SET_3 = 0x10


class Profile(Enum):
    """The profiles that the worker tells apart; the value is the start of the canonical id."""

    CONSTRAINED_BASELINE = "42e0"
    BASELINE = "4200"
    MAIN = "4d00"
    CONSTRAINED_HIGH = "640c"
    HIGH = "6400"
    PREDICTIVE_HIGH_444 = "f400"


class ProfileLevel(NamedTuple):
    """A parsed `profile-level-id`."""

    profile: Profile
    level: int


# When the parameter is missing; RFC 6184 says Baseline level 1, WebRTC does this instead.
_DEFAULT = ProfileLevel(Profile.CONSTRAINED_BASELINE, 31)

# (profile_idc, bits of profile_iop that count, their value, profile): RFC 6184 table 5.
_PATTERNS = (
    (0x42, 0b01001111, 0b01000000, Profile.CONSTRAINED_BASELINE),
    (0x4D, 0b10001111, 0b10000000, Profile.CONSTRAINED_BASELINE),
    (0x58, 0b11001111, 0b11000000, Profile.CONSTRAINED_BASELINE),
    (0x42, 0b01001111, 0b00000000, Profile.BASELINE),
    (0x58, 0b11001111, 0b10000000, Profile.BASELINE),
    (0x4D, 0b10101111, 0b00000000, Profile.MAIN),
    (0x64, 0b11111111, 0b00000000, Profile.HIGH),
    (0x64, 0b11111111, 0b00001100, Profile.CONSTRAINED_HIGH),
    (0xF4, 0b11111111, 0b00000000, Profile.PREDICTIVE_HIGH_444),
)
_LEVEL_1B_IDS = {
    Profile.CONSTRAINED_BASELINE: "42f00b",
    Profile.BASELINE: "42100b",
    Profile.MAIN: "4d100b",
}

Parameters = Mapping[str, str | int | float]


def parse_profile_level_id(value: object) -> ProfileLevel | None:
    """E.g. "42e01f" is Constrained Baseline 3.1; None when `value` is no valid id."""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        return None
    idc, iop, level = bytes.fromhex(value)
    if level not in _LEVELS:
        return None
    if level == _LEVEL_1_1 and iop & _CONSTRAINT_SET_3:
        level = _LEVEL_1B
    for pattern_idc, mask, bits, profile in _PATTERNS:
        if idc == pattern_idc and iop & mask == bits:
            return ProfileLevel(profile, level)
    return None


def is_same_profile(a: Parameters, b: Parameters) -> bool:
    """Whether both are valid and of the same profile, whatever their levels."""
    parsed_a, parsed_b = _of(a), _of(b)
    return parsed_a is not None and parsed_b is not None and parsed_a.profile is parsed_b.profile


def profile_level_id_for_answer(local: Parameters, remote: Parameters) -> str | None:
    """The id to answer with, for codecs that are of the same profile (`is_same_profile`).

    The lower level of both, or `local`'s when both allow level asymmetry. None when neither names
    an id.
    """
    parsed_local, parsed_remote = _of(local), _of(remote)
    if parsed_local is None or parsed_remote is None:
        return None
    if not (local.get("profile-level-id") or remote.get("profile-level-id")):
        return None
    profile, level = parsed_local
    if not (_allows_asymmetry(local) and _allows_asymmetry(remote)):
        level = _lower_level(level, parsed_remote.level)
    if level == _LEVEL_1B:
        return _LEVEL_1B_IDS[profile]  # the only profiles that parse to 1b
    return f"{profile.value}{level:02x}"


def _of(parameters: Parameters) -> ProfileLevel | None:
    value = parameters.get("profile-level-id")
    return parse_profile_level_id(value) if value else _DEFAULT


def _allows_asymmetry(parameters: Parameters) -> bool:
    return parameters.get("level-asymmetry-allowed") in (1, "1")


def _lower_level(a: int, b: int) -> int:
    """As npm's package has it, its mistake included: with 1b as `b` it takes the higher one."""
    if a == _LEVEL_1B:
        a_is_lower = b not in (_LEVEL_1, _LEVEL_1B)
    elif b == _LEVEL_1B:
        a_is_lower = a != _LEVEL_1
    else:
        a_is_lower = a < b
    return a if a_is_lower else b
