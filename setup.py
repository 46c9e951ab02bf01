"""Adds the top-level ``Resources`` folder to the installed package; all else: pyproject.toml."""

from setuptools import find_packages, setup

RESOURCES = "ElasticHyperRegLib.Resources"

setup(
    packages=[*find_packages(include=["ElasticHyperRegLib*", "training*", "web*"]), RESOURCES],
    package_dir={RESOURCES: "Resources"},
    package_data={
        "ElasticHyperRegLib": ["py.typed"],
        "training": ["configs/*.toml"],
        "web": ["static/**/*"],
        RESOURCES: ["**/*"],
    },
)
