"""Builds cloudctl._core: every C file of cext/ and its one Cython seam."""

import sys
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

# -ffp-contract=off and no -march/-ffast-math: the same log must give the same bytes on every machine.
FLAGS = (
    []
    if sys.platform == "win32"
    else ["-O3", "-std=c11", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-Wall", "-Wextra"]
)

setup(
    ext_modules=cythonize(
        [
            Extension(
                "cloudctl._core",
                ["cext/_core.pyx", *sorted(glob("cext/*.c"))],
                include_dirs=["cext"],
                depends=sorted(glob("cext/*.h") + glob("cext/*.pxi")),
                extra_compile_args=FLAGS,
            )
        ],
        build_dir="build",
        compiler_directives={"language_level": 3, "boundscheck": False, "wraparound": False, "embedsignature": True},
    )
)
