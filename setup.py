"""What setup.cfg can't say: a kernel in C is built, and left out where that fails."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "polyroots.spectra._batched_qr",
            sources=["polyroots/spectra/_batched_qr.c"],
            depends=["polyroots/spectra/_batched_qr_kernel.h"],
            # No errno of square roots, so that they are vectors too.
            extra_compile_args=["-std=gnu11", "-O3", "-fno-math-errno", "-Wno-psabi"],
            optional=True,
        )
    ]
)
