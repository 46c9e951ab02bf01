"""What the options of ``register`` and ``batch`` say, as the engine takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..alignment import KINDS
from ..engine import RegistrationOptions
from ..engine.check import check_options
from ..engine.elasticity import EVERYWHERE
from ..engine.request import AUTO, DEFAULT_ELASTICITY, NONE, Matrix
from ..engine.sliding import SlidingBorder
from ..errors import InputError
from ..io import existing_file, read_initial
from ..types import Elasticity
from ..weights import model_reference

SCHEME = "scheme"
"""As ``--sliding``: the borders that the tissue scheme marks."""
_BORDER_FORM = f"ONE:OTHER or ONE:OTHER=MM as in lung:rest or lung:rest=10, or {SCHEME}"
_FILE_FORM = 'JSON as in {"lung": [0.05, 0.1], "bone": [0.1, 0.8]}'
_FORM = "λ,μ as in 0.1,0.3 or TISSUE=λ,μ as in lung=0.05,0.1"


@dataclass(frozen=True)
class Settings:
    """The options of one registration as they were typed.

    Args:
        elasticity: each ``λ,μ`` or ``TISSUE=λ,μ``.
        elasticity_file: JSON file of the same; what ``elasticity`` names wins over it.
        tissues: tissue scheme, a file or a name.
        initial: kind of alignment, or a transform file.
        model: trained model, ``none`` or ``auto``.
        refine: iterations of the solver at full resolution, at most.
        device: ``auto``, ``cpu`` or ``cuda``.
        seed: of everything random.
        sliding: each ``ONE:OTHER`` or ``ONE:OTHER=WIDTH``, or ``scheme``.
        similarity: ``ncc``, ``mind`` or ``auto``.
    """

    elasticity: tuple[str, ...] = ()
    elasticity_file: Path | None = None
    tissues: str | None = None
    initial: str = "affine"
    model: str = "auto"
    refine: int | None = None
    device: str = "auto"
    seed: int = 0
    sliding: tuple[str, ...] = ()
    similarity: str = AUTO

    def files(self) -> dict[str, Path]:
        """The options that name a file which the run depends on."""
        found = {} if self.initial in KINDS else {"initial": Path(self.initial)}
        if self.tissues is not None and Path(self.tissues).is_file():
            found["tissues"] = Path(self.tissues)
        return found

    @property
    def gives_everywhere(self) -> bool:
        """Whether λ, μ for everywhere were given, which leave no room for presets."""
        return EVERYWHERE in self._given_elasticity()

    def options(self) -> RegistrationOptions:
        """The engine's options, checked as far as that goes without the images.

        Raises:
            InputError: something is out of range, misspelt or missing.
        """
        values = self._given_elasticity()
        default = values.pop(EVERYWHERE, DEFAULT_ELASTICITY)
        options = RegistrationOptions(
            elasticity=default,
            tissues=values,
            initial=self._initial(),
            model=self.model if self.model in (AUTO, NONE) else model_reference(self.model),
            refine=self.refine,
            device=self.device,
            seed=self.seed,
            sliding=parse_sliding(self.sliding),
            similarity=self.similarity,
        )
        check_options(options)
        return options

    def asked(self) -> dict[str, Any]:
        """λ, μ and sliding borders as far as they were given, for JSON.

        Presets, borders of the scheme and estimates are found while it runs.
        """
        given = self._given_elasticity().items()
        borders = [[b.one, b.other, b.width_mm] for b in parse_sliding(self.sliding)]
        return {
            "elasticity": {name: [value.lam, value.mu] for name, value in given},
            "sliding": [*borders, *([SCHEME] if SCHEME in self.sliding else [])],
        }

    def typed_tissues(self) -> list[str]:
        """Those that ``elasticity`` names."""
        return [name for name in parse_elasticity(self.elasticity) if name != EVERYWHERE]

    def _given_elasticity(self) -> dict[str, Elasticity]:
        values: dict[str, Elasticity] = {}
        if self.elasticity_file is not None:
            values |= read_elasticity(self.elasticity_file)
        return values | parse_elasticity(self.elasticity)

    def _initial(self) -> str | Matrix:
        if self.initial in KINDS:
            return self.initial
        file = Path(self.initial)
        if not file.exists():
            raise InputError(
                f"the initial alignment '{self.initial}'",
                f"{', '.join(KINDS)} or a transform file that exists",
            )
        return tuple(tuple(row) for row in read_initial(file).tolist())


def parse_sliding(texts: Sequence[str]) -> tuple[SlidingBorder, ...]:
    """``ONE:OTHER`` and ``ONE:OTHER=WIDTH`` in mm; ``scheme`` is left to whoever has the scheme.

    Raises:
        InputError: another form, or a width out of range.
    """
    borders = []
    for text in texts:
        if text == SCHEME:
            continue
        names, equals, width = text.partition("=")
        one, colon, other = names.partition(":")
        try:
            size = {"width_mm": float(width)} if equals else {}
        except ValueError as error:
            raise InputError(f"--sliding '{text}'", _BORDER_FORM) from error
        if not (one and colon and other):
            raise InputError(f"--sliding '{text}'", _BORDER_FORM)
        borders.append(SlidingBorder(one.strip(), other.strip(), **size))
    pairs = [frozenset((border.one, border.other)) for border in borders]
    if twice := next((p for n, p in enumerate(pairs) if p in pairs[:n]), None):
        raise InputError(f"--sliding for {':'.join(sorted(twice))} twice", "each border once")
    return tuple(borders)


def parse_elasticity(texts: Sequence[str]) -> dict[str, Elasticity]:
    """``λ,μ`` and ``TISSUE=λ,μ`` → tissue → (λ, μ); ``everywhere`` where no tissue is named.

    Raises:
        InputError: another form, a value out of range, a tissue named twice.
    """
    found: dict[str, Elasticity] = {}
    for text in texts:
        name, _, numbers = text.rpartition("=")
        name = name.strip() or EVERYWHERE
        try:
            lam, mu = (float(number) for number in numbers.split(","))
        except ValueError as error:
            raise InputError(f"--elasticity '{text}'", _FORM) from error
        if name in found:
            raise InputError(f"--elasticity for {name} twice", "each tissue once")
        found[name] = _elasticity(name, lam, mu)
    return found


def read_elasticity(path: Path) -> dict[str, Elasticity]:
    """JSON ``{tissue: [λ, μ]}``, alone or under the key ``elasticity``.

    Raises:
        InputError: the file is missing, no JSON, of another form, or a value is out of range.
    """
    path = existing_file(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON file", _FILE_FORM, "check it") from error
    if isinstance(record, Mapping):
        record = record.get("elasticity", record)
    if not isinstance(record, Mapping) or not record:
        raise InputError(f"{path} holds no elasticity", _FILE_FORM)
    return {str(name): _pair(str(name), value, path) for name, value in record.items()}


def _pair(name: str, value: Any, path: Path) -> Elasticity:
    numbers = isinstance(value, list) and all(
        isinstance(v, (int, float)) and not isinstance(v, bool) for v in value
    )
    if not numbers or len(value) != 2:
        raise InputError(f"{path}: '{json.dumps(value)}' for {name}", _FILE_FORM)
    return _elasticity(name, *value)


def scored_with(path: Path | None) -> str | None:
    """The model whose answers an estimate scored, where ``path`` is one."""
    if path is None:
        return None
    record = json.loads(path.read_text(encoding="utf-8-sig"))
    model = record.get("model")
    return model if isinstance(model, str) else None


def _elasticity(name: str, lam: float, mu: float) -> Elasticity:
    try:
        return Elasticity(float(lam), float(mu))
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    except OverflowError as error:  # a whole number in JSON has no end
        raise InputError(f"{name}: a number without end", "λ and μ in [0, 1]") from error
