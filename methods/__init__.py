"""The suite's methods, one file each; what several share stands in `slt_bench.methods.shared`.

The folder lies at the top of a checkout, and inside the package by a link, so that imports, editors and type checkers
find `slt_bench.methods.edgepopup` as they find any module.
"""
