"""``elastic-hyperreg models``: the trained models that are installed."""

from __future__ import annotations

from .app import app


@app.command()
def models() -> None:
    """List the installed models: size, licence, what they expect, whether they are undamaged.

    Models are looked for in the user's folder (ELASTIC_HYPERREG_MODELS names another one) and
    among those that come with the program.
    """
    from .model_table import show_models

    show_models()
