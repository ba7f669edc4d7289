"""Which partition a key belongs in: the default of Java's, aiokafka's and most other producers (murmur2 of the key).

aiokafka's own takes a key byte by byte, 16 microseconds for one of ours; by words it is 5.
"""

from __future__ import annotations

import struct

_WORDS_MOST = 64
_WORDS = [struct.Struct(f"<{count}I") for count in range(_WORDS_MOST + 1)]
_SEED, _FACTOR, _32_BITS = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """The partition, 0 to `partitions` - 1."""
    return (_murmur2(key) & 0x7FFFFFFF) % partitions


def _murmur2(key: bytes) -> int:
    length = len(key)
    hashed = _SEED ^ length
    for word in _words(key, length >> 2):
        mixed = word * _FACTOR & _32_BITS
        hashed = (hashed * _FACTOR ^ (mixed ^ mixed >> 24) * _FACTOR) & _32_BITS
    if rest := length & 3:
        hashed = (hashed ^ int.from_bytes(key[-rest:], "little")) * _FACTOR & _32_BITS
    hashed = (hashed ^ hashed >> 13) * _FACTOR & _32_BITS
    return hashed ^ hashed >> 15


def _words(key: bytes, count: int) -> tuple[int, ...]:
    layout = _WORDS[count] if count <= _WORDS_MOST else struct.Struct(f"<{count}I")
    return layout.unpack_from(key)
