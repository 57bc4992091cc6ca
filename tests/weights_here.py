"""The hashes of the frozen weights that this environment draws, as JSON; run as a program, where torch may be another.

    python tests/weights_here.py [KEY...]      # without keys: every one of weight_hashes.json, drawn anew

A key is arch|channels x height x width|init|seed.
"""

import json
import sys
from pathlib import Path

RECORDED = Path(__file__).with_name("weight_hashes.json")
CIFAR = ["conv2", "conv4", "conv6", "conv8", "resnet18", "resnet34", "resnet50", "resnet20", "wrn50_2", "wrn28_10"]
NAMED = ["lenet300", *CIFAR, "vit_micro", "vit_tiny", "vit_small", "vit_base", "swin_micro", "swin_t"]
ALL_INITS = ["lenet300", "resnet20", "wrn10_1", "timm:convnext_atto"]


def keys():
    """Every named architecture with two inits, and some small ones with the others."""
    inits = ["signed_constant", "kaiming_normal", "kaiming_uniform", "uniform:0.1"]
    found = ["lenet300|1x28x28|signed_constant|7", "lenet300|1x28x28|kaiming_normal|123456789"]
    for arch in dict.fromkeys([*NAMED, *ALL_INITS]):
        shape = "1x28x28" if arch == "lenet300" else "3x32x32"
        found += [f"{arch}|{shape}|{init}|0" for init in (inits if arch in ALL_INITS else inits[:2])]
    return found


def weight_hash(key):
    """SHA-256 of the frozen weights that a key names."""
    from slt_bench.network.frozen import FrozenNetwork

    arch, shape, init, seed = key.split("|")
    sides = tuple(map(int, shape.split("x")))
    return FrozenNetwork(arch, shape=sides, classes=10, init=init, seed=int(seed)).weight_hash()


if __name__ == "__main__":
    print(json.dumps({key: weight_hash(key) for key in sys.argv[1:] or keys()}, indent=1))
