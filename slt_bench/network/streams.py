"""Random numbers whose bits are the same on every machine, in every version.

The raw bits are those of Philox4x64 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), a
counter-based generator whose stream NumPy guarantees (NEP 19). NumPy guarantees neither its distributions nor the
last bits of `log` and `cos`, which differ between instruction sets. So what is made of the bits here uses only
operations that IEEE 754 rounds correctly: + - * / and the square root.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
_CHUNK = 1 << 16  # numbers at a time: the polynomials then stay in the cache


def derive_seed(*parts: object) -> int:
    """A 63-bit number from named parts, independent of the order in which jobs run."""
    return int.from_bytes(_digest(parts)[:8], "little") >> 1


def uniform(count: int, *key: object) -> Float64Array:
    """`count` numbers, uniform in the open interval (0, 1), of the stream that `key` names."""
    bits = _philox(key).random_raw(count)
    numbers = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return np.minimum(numbers, 1.0 - 2.0**-53, out=numbers)  # the sum above rounds the largest of them to 1


def normal(count: int, *key: object) -> Float64Array:
    """`count` standard normal numbers of the stream that `key` names: the quantiles of its uniform numbers."""
    numbers = uniform(count, *key)
    for start in range(0, count, _CHUNK):
        numbers[start : start + _CHUNK] = normal_quantile(numbers[start : start + _CHUNK])
    return numbers


def signs(count: int, *key: object) -> Float64Array:
    """`count` numbers, -1 or 1 with equal probability, of the stream that `key` names."""
    bits = _philox(key).random_raw(count)
    return np.where(bits < np.uint64(1 << 63), -1.0, 1.0)  # the sign of its uniform numbers minus 1/2


def permutation(count: int, *key: object) -> NDArray[np.int64]:
    """A random order of 0 to count - 1, of the stream that `key` names."""
    return np.argsort(_philox(key).random_raw(count), kind="stable").astype(np.int64)


def subset(count: int, chosen: int, *key: object) -> NDArray[np.bool_]:
    """Which `chosen` of `count` things are drawn without replacement, by the stream that `key` names."""
    bits = _philox(key).random_raw(count)
    if not 0 < chosen < count:
        return np.full(count, chosen > 0)
    last = np.partition(bits, chosen - 1)[chosen - 1]
    drawn: NDArray[np.bool_] = bits <= last
    drawn[np.flatnonzero(bits == last)[chosen - np.count_nonzero(bits < last) :]] = False
    return drawn


def _digest(parts: tuple[object, ...]) -> bytes:
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()


def _philox(key: tuple[object, ...]) -> np.random.Philox:
    return np.random.Philox(key=np.frombuffer(_digest(key)[:16], dtype="<u8"))


# Wichura, "Algorithm AS 241: the percentage points of the normal distribution", 1988, PPND16: lowest power first.
_CENTRE = (
    (
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
        4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
    ),
    (
        1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
        2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
    ),
)  # fmt: skip
_TAIL = (
    (
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
        1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
    ),
    (
        1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
        1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
    ),
)  # fmt: skip
_FAR_TAIL = (
    (
        6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
        2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
    ),
    (
        1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
        7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
    ),
)  # fmt: skip


def normal_quantile(probability: Float64Array) -> Float64Array:
    """The standard normal quantile of each probability in (0, 1), by AS 241 in correctly rounded operations only."""
    centred = probability - 0.5
    result = centred * _ratio(0.180625 - centred * centred, _CENTRE)
    tails = np.abs(centred) > 0.425
    smaller = np.minimum(probability[tails], 1.0 - probability[tails])
    radius = np.sqrt(-_log(smaller))
    size = np.where(radius <= 5.0, _ratio(radius - 1.6, _TAIL), _ratio(radius - 5.0, _FAR_TAIL))
    result[tails] = np.where(centred[tails] < 0, -size, size)
    return result


def _ratio(x: Float64Array, polynomials: tuple[tuple[float, ...], tuple[float, ...]]) -> Float64Array:
    return _horner(x, polynomials[0]) / _horner(x, polynomials[1])


def _horner(x: Float64Array, coefficients: tuple[float, ...]) -> Float64Array:
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total *= x
        total += coefficient
    return total


def _log(x: Float64Array) -> Float64Array:
    """The natural logarithm, as exponent * log 2 + 2 artanh((m - 1) / (m + 1)) with m in [0.7, 1.4]."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < 0.7071067811865476
    mantissa = np.where(low, mantissa * 2.0, mantissa)
    power = exponent - low
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    series = _horner(ratio * ratio, tuple(2.0 / (2 * term + 1) for term in range(12)))
    return power * 0.6931471805599453 + ratio * series
