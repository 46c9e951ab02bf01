"""Adds the top-level ``Resources`` folder to the installed package; all else: pyproject.toml."""

from setuptools import find_packages, setup

RESOURCES = "ElasticHyperRegLib.Resources"

setup(
    packages=[*find_packages(include=["ElasticHyperRegLib*"]), RESOURCES],
    package_dir={RESOURCES: "Resources"},
    package_data={"ElasticHyperRegLib": ["py.typed"], RESOURCES: ["**/*"]},
)
